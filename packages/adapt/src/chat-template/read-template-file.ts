import { isUtf8 } from 'node:buffer'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { printable, scanJson } from '../dataset/index.js'
import { ConfigError, HostileFileError } from '../errors.js'
import { CHAT_TEMPLATE_FILE, CHAT_TEMPLATE_FOLDER } from '../hub/index.js'

/** A template and where it came from. */
export interface TemplateSource {
  readonly source: string
  /** For messages: a file or the key of the config. */
  readonly where: string
}

/** Largest template that is read; the longest in common use have some 20 kB. */
export const MAX_TEMPLATE_BYTES = 256 * 1024
/** tokenizer_config.json may list thousands of added tokens beside the template. */
const MAX_SETTINGS_BYTES = 16 * 1024 * 1024
const MAX_DEPTH = 64

/**
 * Reads a .jinja file.
 * @returns undefined when there is no such file.
 * @throws {HostileFileError} BAD_CHAT_TEMPLATE. @throws {ConfigError} FILE_UNREADABLE.
 */
export function readTemplateFile(file: string): string | undefined {
  return readText(file, MAX_TEMPLATE_BYTES)
}

/** Templates by name; one that stands alone is the one called `default`. */
export type NamedTemplates = ReadonlyMap<string, TemplateSource>

/**
 * The templates of a tokenizer folder, as transformers finds them: `chat_template.jinja` is the default one and each
 * file of `additional_chat_templates/` one by its name; without any of these files, `chat_template` of
 * tokenizer_config.json: text, or a list of `{ name, template }`. Empty where there is none.
 *
 * @throws {HostileFileError} BAD_CHAT_TEMPLATE. @throws {ConfigError} FILE_UNREADABLE.
 */
export function readFolderTemplates(folder: string): NamedTemplates {
  const found = new Map<string, TemplateSource>()
  const add = (name: string, file: string): void => {
    const source = readTemplateFile(file)
    if (source !== undefined) found.set(name, { source, where: printable(file) })
  }
  add('default', path.join(folder, CHAT_TEMPLATE_FILE))
  for (const name of additionalTemplates(folder)) {
    add(name.slice(0, -'.jinja'.length), path.join(folder, CHAT_TEMPLATE_FOLDER, name))
  }
  return found.size > 0 ? found : settingsTemplates(path.join(folder, 'tokenizer_config.json'))
}

/** Names of the files in `additional_chat_templates/` of a folder, in order. */
export function additionalTemplates(folder: string): string[] {
  try {
    const names = readdirSync(path.join(folder, CHAT_TEMPLATE_FOLDER))
    return names.filter((name) => name.endsWith('.jinja')).sort()
  } catch {
    return []
  }
}

function settingsTemplates(file: string): NamedTemplates {
  const text = readText(file, MAX_SETTINGS_BYTES)
  const templates = text === undefined ? [] : templatesOf(parseSettings(text, file), file)
  return new Map(
    templates.map(([name, source]) => {
      if (Buffer.byteLength(source) > MAX_TEMPLATE_BYTES) {
        throw badTemplate(file, `"chat_template": expected at most ${MAX_TEMPLATE_BYTES} bytes`)
      }
      const which = templates.length > 1 ? `chat_template "${printable(name, 40)}"` : 'chat_template'
      return [name, { source, where: `${printable(file)} (${which})` }]
    }),
  )
}

/** An error about a file with a template that is damaged or made to harm. */
export function badTemplate(file: string, problem: string): HostileFileError {
  return new HostileFileError('BAD_CHAT_TEMPLATE', `${printable(file)}: ${problem}`, { file })
}

function templatesOf(settings: unknown, file: string): (readonly [string, string])[] {
  const isObject = typeof settings === 'object' && settings !== null && !Array.isArray(settings)
  if (!isObject) throw badTemplate(file, 'expected a JSON object')
  const template = (settings as { readonly chat_template?: unknown }).chat_template ?? undefined
  if (template === undefined) return []
  if (typeof template === 'string') return [['default', template]]
  if (typeof template !== 'object' || template === null) {
    throw badTemplate(file, '"chat_template": expected text or a list of {name, template}')
  }
  const list = Array.isArray(template)
    ? template
    : Object.entries(template).map(([name, source]) => ({ name, template: source as unknown }))
  const entries = list as readonly ({ readonly name?: unknown; readonly template?: unknown } | null)[]
  return entries.map((entry) => {
    if (typeof entry?.name !== 'string' || typeof entry.template !== 'string') {
      throw badTemplate(file, '"chat_template": expected a list of {name, template}, both texts')
    }
    return [entry.name, entry.template] as const
  })
}

function parseSettings(text: string, file: string): unknown {
  const { depth } = scanJson(Buffer.from(text))
  if (depth > MAX_DEPTH) {
    throw badTemplate(file, `expected at most ${MAX_DEPTH} levels of nesting, received ${depth}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badTemplate(file, `expected JSON: ${printable((error as Error).message)}`)
  }
}

function readText(file: string, maxBytes: number): string | undefined {
  let bytes: Buffer
  try {
    const found = statSync(file)
    if (!found.isFile() || found.size > maxBytes) {
      throw badTemplate(file, `expected a file of at most ${maxBytes} bytes`)
    }
    bytes = readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (error instanceof HostileFileError) throw error
    const said = `${printable(file)}: cannot be read: ${printable(message)}`
    throw new ConfigError('FILE_UNREADABLE', said, { file }, { cause: error })
  }
  if (!isUtf8(bytes)) throw badTemplate(file, 'expected UTF-8')
  return bytes.toString('utf8')
}
