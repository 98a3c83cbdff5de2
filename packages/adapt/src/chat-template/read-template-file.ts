import { isUtf8 } from 'node:buffer'
import { readFileSync, statSync } from 'node:fs'
import { printable, scanJson } from '../dataset/index.js'
import { ConfigError, HostileFileError } from '../errors.js'

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

/**
 * Reads `chat_template` of a tokenizer_config.json: text, or a list of `{ name, template }`.
 * @returns undefined when there is no such file or key.
 * @throws {HostileFileError} BAD_CHAT_TEMPLATE. @throws {ConfigError} FILE_UNREADABLE.
 */
export function readTokenizerTemplate(file: string): string | undefined {
  const text = readText(file, MAX_SETTINGS_BYTES)
  if (text === undefined) return undefined
  const template = templateOf(parseSettings(text, file), file)
  if (template !== undefined && Buffer.byteLength(template) > MAX_TEMPLATE_BYTES) {
    throw badTemplate(file, `"chat_template": expected at most ${MAX_TEMPLATE_BYTES} bytes`)
  }
  return template
}

/** An error about a file with a template that is damaged or made to harm. */
export function badTemplate(file: string, problem: string): HostileFileError {
  return new HostileFileError('BAD_CHAT_TEMPLATE', `${printable(file)}: ${problem}`, { file })
}

function templateOf(settings: unknown, file: string): string | undefined {
  const isObject = typeof settings === 'object' && settings !== null && !Array.isArray(settings)
  if (!isObject) throw badTemplate(file, 'expected a JSON object')
  const template = (settings as { readonly chat_template?: unknown }).chat_template ?? undefined
  if (template === undefined || typeof template === 'string') return template
  if (!Array.isArray(template)) {
    throw badTemplate(file, '"chat_template": expected text or a list of {name, template}')
  }
  const entries = template as readonly ({ readonly name?: unknown; readonly template?: unknown } | null)[]
  const chosen = entries.find((entry) => entry?.name === 'default')?.template
  if (typeof chosen !== 'string') {
    const names = entries.map((entry) => printable(String(entry?.name), 40)).join(', ')
    throw badTemplate(
      file,
      `"chat_template": expected one named "default", received ${names}; set data.chat_template`,
    )
  }
  return chosen
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
