import { compileTextTemplate, renderTextTemplate, type TextTemplate } from '../chat-template/index.js'
import { type JsonValue, printable } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import { nearestName } from '../method/nearest-name.js'
import { type PythonLiteral, parsePythonLiteral } from './python-literal.js'
import type { Task } from './read-task-file.js'
import type { TaskDocument } from './task-documents.js'

type Target = string | number | readonly string[]
type Choices = string | readonly string[] | Readonly<Record<string, string>>

/** What the answer of a document is: text, the place of a choice, or several answers that are right. */
export type Answer = string | number | readonly (string | number)[]

/** What names a field, is a template, or a constant. */
const FIELD_KEYS = ['doc_to_text', 'doc_to_target', 'doc_to_choice'] as const
/** Shorter words are constants more often than misspelt. */
const MIN_MISSPELT = 3

/** What a task says of its documents: a field by its name, a constant, or a Jinja template over the fields. */
export class DocumentFields {
  private readonly templates = new Map<string, TextTemplate>()
  /** Of all documents together, as a table of them has columns. */
  private readonly names: ReadonlySet<string>

  constructor(
    private readonly task: Task,
    documents: readonly TaskDocument[],
  ) {
    this.names = new Set(documents.flatMap(({ fields }) => Object.keys(fields)))
  }

  /**
   * Looks for words that are no field: the harness would take each for a text that is the same for all documents.
   * @param onLine  Gets a warning for one that is like no field.
   * @throws {ConfigError} UNKNOWN_FIELD for one that is like a field.
   */
  check(onLine: (line: string) => void): void {
    const { config } = this.task
    const own = config.fewshot_config ?? {}
    const named = [
      ...FIELD_KEYS.map((key) => [[key], config[key]] as const),
      ...FIELD_KEYS.map((key) => [['fewshot_config', key], own[key]] as const),
    ]
    for (const [path, word] of named) {
      if (typeof word !== 'string' || !/^[A-Za-z_]\w*$/.test(word) || this.names.has(word)) continue
      const like = word.length < MIN_MISSPELT ? undefined : nearestName(word, [...this.names])
      const where = this.task.placeOf(path)
      if (like === undefined) {
        onLine(`warning: ${where}: no field is called "${word}"; it is the same text for all documents`)
        continue
      }
      throw new ConfigError(
        'UNKNOWN_FIELD',
        `${where}: expected a field or a template, received "${word}" (did you mean "${printable(like)}"?); the same text for all documents is {{ "${word}" }}`,
        { field: word },
      )
    }
  }

  /** Text before the answer; a number is the place of the choice that is right where every choice is a text of its own. */
  text(
    document: TaskDocument,
    how: string | number | undefined = this.task.config.doc_to_text,
  ): string | number {
    if (typeof how === 'number') return how
    if (how === undefined) return ''
    if (this.names.has(how)) return asText(this.field(document, how, 'doc_to_text'))
    const text = this.render(document, how, 'doc_to_text')
    return isDigits(text) && this.task.config.doc_to_choice !== undefined ? Number(text) : text
  }

  answer(document: TaskDocument, how: Target | undefined = this.task.config.doc_to_target): Answer {
    if (how === undefined) throw this.missing('doc_to_target', document)
    if (typeof how === 'number') return how
    if (typeof how !== 'string') return how
    if (this.names.has(how)) return asAnswer(this.field(document, how, 'doc_to_target'))
    const text = this.render(document, how, 'doc_to_target')
    if (isDigits(text) && this.task.config.doc_to_choice !== undefined) return Number(text)
    if (!/^\[[\s\S]*\]$/.test(text)) return text
    try {
      return parsePythonLiteral(text) as Answer
    } catch {
      return text
    }
  }

  choices(
    document: TaskDocument,
    how: Choices | undefined = this.task.config.doc_to_choice,
  ): readonly string[] {
    if (how === undefined) throw this.missing('doc_to_choice', document)
    if (Array.isArray(how)) return how as readonly string[]
    if (typeof how !== 'string') return Object.values(how as Readonly<Record<string, string>>)
    const found = this.names.has(how)
      ? (this.field(document, how, 'doc_to_choice') as unknown)
      : this.literal(document, how)
    if (Array.isArray(found) && found.length > 0 && found.every((choice) => typeof choice === 'string'))
      return found
    throw new DataError(
      'BAD_CHOICES',
      `${document.where}: doc_to_choice of task ${this.task.name}: expected a list of texts`,
      { task: this.task.name },
    )
  }

  /** A field or a template; undefined where there is none. */
  optional(document: TaskDocument, how: string | undefined, key: string): string | undefined {
    if (how === undefined) return undefined
    const found = Object.hasOwn(document.fields, how) ? this.field(document, how, key) : undefined
    return found === undefined ? this.render(document, how, key) : String(asText(found))
  }

  private literal(document: TaskDocument, how: string): PythonLiteral {
    const text = this.render(document, how, 'doc_to_choice')
    try {
      return parsePythonLiteral(text)
    } catch (error) {
      throw new DataError(
        'BAD_CHOICES',
        `${document.where}: doc_to_choice of task ${this.task.name}: expected a list of texts in Python's notation, received ${printable(text, 80)}: ${(error as Error).message}`,
        { task: this.task.name },
      )
    }
  }

  private field(document: TaskDocument, name: string, key: string): JsonValue {
    const value = document.fields[name]
    if (value !== undefined && value !== null) return value
    throw new DataError(
      'MISSING_FIELD',
      `${document.where}: expected the field "${printable(name)}", which ${key} of task ${this.task.name} names`,
      { field: name },
    )
  }

  private render(document: TaskDocument, source: string, key: string): string {
    const found =
      this.templates.get(source) ?? compileTextTemplate(source, `${printable(this.task.file)}: ${key}`)
    this.templates.set(source, found)
    try {
      return renderTextTemplate(found, document.fields)
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      throw new DataError(error.code, `${document.where}: ${error.message}`, error.context, { cause: error })
    }
  }

  private missing(key: string, { where }: TaskDocument): DataError {
    return new DataError('NO_TEMPLATE', `${where}: task ${this.task.name} has no ${key}`)
  }
}

const isDigits = (text: string): boolean => /^\d+$/.test(text)

function asText(value: JsonValue): string | number {
  return value instanceof Number || typeof value === 'number' ? Number(value) : String(value)
}

function asAnswer(value: JsonValue): Answer {
  if (value instanceof Number || typeof value === 'number') return Number(value)
  if (typeof value === 'boolean') return value ? 1 : 0
  if (Array.isArray(value)) return value.map((item) => asAnswer(item as JsonValue) as string | number)
  return String(value)
}
