import path from 'node:path'
import { ConfigError } from '../errors.js'
import { printable } from './printable.js'
import type { Packing } from './read-bytes.js'

const LINE_EXTENSIONS = ['.jsonl', '.json-lines', '.jsonlines', '.ndjson']
const TEXT_EXTENSIONS = ['.txt']
const TABLE_EXTENSIONS = ['.parquet']
const PACKINGS: readonly (readonly [string, Packing])[] = [
  ['.gz', 'gzip'],
  ['.zst', 'zstd'],
]

/** How a data file is read; decided by its extension alone. */
export interface FileKind {
  readonly format: 'lines' | 'text' | 'table'
  readonly packing: Packing
  /** File name without folder and extensions; the default source name. */
  readonly stem: string
}

/** @throws {ConfigError} UNKNOWN_FILE_TYPE for an extension that is not read. */
export function fileKind(name: string): FileKind {
  const base = path.posix.basename(name)
  const [ending, packing] = PACKINGS.find(([e]) => base.toLowerCase().endsWith(e)) ?? ['', 'none' as const]
  const inner = base.slice(0, base.length - ending.length)
  const lower = inner.toLowerCase()
  for (const [format, extensions] of [
    ['lines', LINE_EXTENSIONS],
    ['text', TEXT_EXTENSIONS],
    ['table', TABLE_EXTENSIONS],
  ] as const) {
    const extension = extensions.find((e) => lower.endsWith(e))
    if (extension !== undefined) {
      if (format === 'table' && packing !== 'none') {
        throw new ConfigError(
          'UNKNOWN_FILE_TYPE',
          `${printable(name)}: a Parquet file is packed inside and read from both ends; unpack it (remove ${ending})`,
          { file: name },
        )
      }
      return { format, packing, stem: inner.slice(0, -extension.length) || base }
    }
  }
  throw new ConfigError(
    'UNKNOWN_FILE_TYPE',
    `${printable(name)}: expected a data file ending in ${[...LINE_EXTENSIONS, ...TEXT_EXTENSIONS].join(', ')}, ` +
      `each also with .gz or .zst, or .parquet, received "${printable(base)}"; convert it or narrow the path`,
    { file: name },
  )
}
