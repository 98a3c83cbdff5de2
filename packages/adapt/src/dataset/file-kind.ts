import path from 'node:path'
import { ConfigError } from '../errors.js'
import { printable } from './printable.js'

const LINE_EXTENSIONS = ['.jsonl', '.json-lines', '.jsonlines', '.ndjson']
const TEXT_EXTENSIONS = ['.txt']

/** How a data file is read; decided by its extension alone. */
export interface FileKind {
  readonly format: 'lines' | 'text'
  readonly gzip: boolean
  /** File name without folder and extensions; the default source name. */
  readonly stem: string
}

/** @throws {ConfigError} UNKNOWN_FILE_TYPE for an extension that is not read. */
export function fileKind(name: string): FileKind {
  const base = path.posix.basename(name)
  const gzip = base.toLowerCase().endsWith('.gz')
  const inner = gzip ? base.slice(0, -3) : base
  const lower = inner.toLowerCase()
  for (const [format, extensions] of [
    ['lines', LINE_EXTENSIONS],
    ['text', TEXT_EXTENSIONS],
  ] as const) {
    const extension = extensions.find((e) => lower.endsWith(e))
    if (extension !== undefined) {
      return { format, gzip, stem: inner.slice(0, -extension.length) || base }
    }
  }
  throw new ConfigError(
    'UNKNOWN_FILE_TYPE',
    `${printable(name)}: expected a data file ending in ${[...LINE_EXTENSIONS, ...TEXT_EXTENSIONS].join(', ')}, ` +
      `each also with .gz, received "${printable(base)}"; convert it or narrow the path`,
    { file: name },
  )
}
