import { compileTextTemplate, renderTextTemplate, type TextTemplate } from '../chat-template/index.js'
import { type JsonValue, printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import { type PythonLiteral, parsePythonLiteral } from './python-literal.js'
import type { Task } from './read-task-file.js'
import type { TaskDocument } from './task-documents.js'

type Target = string | number | readonly string[]
type Choices = string | readonly string[] | Readonly<Record<string, string>>

/** What the answer of a document is: text, the place of a choice, or several answers that are right. */
export type Answer = string | number | readonly (string | number)[]

/**
 * What a task says of its documents: a field by its name, a constant, or a Jinja template over the fields.
 * Names of fields are those of the first document, as in the harness.
 */
export class DocumentFields {
  private readonly templates = new Map<string, TextTemplate>()
  private readonly names: ReadonlySet<string>

  constructor(
    private readonly task: Task,
    first: TaskDocument,
  ) {
    this.names = new Set(Object.keys(first.fields))
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
