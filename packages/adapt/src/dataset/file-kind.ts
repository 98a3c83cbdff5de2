import path from 'node:path'
import { ConfigError } from '../errors.js'
import { printable } from './printable.js'
import type { Packing } from './read-bytes.js'

/** How the content of a file is laid out. */
export type FileFormat = 'lines' | 'json' | 'csv' | 'tsv' | 'text' | 'table'

const EXTENSIONS: readonly (readonly [FileFormat, readonly string[]])[] = [
  ['lines', ['.jsonl', '.json-lines', '.jsonlines', '.ndjson']],
  ['json', ['.json']],
  ['csv', ['.csv']],
  ['tsv', ['.tsv']],
  ['text', ['.txt']],
  ['table', ['.parquet']],
]
const PACKINGS: readonly (readonly [string, Packing])[] = [
  ['.gz', 'gzip'],
  ['.zst', 'zstd'],
]

/** Parts of one file are one source. */
const SHARD = /-\d{5}-of-\d{5}$/

/** How a data file is read; decided by its extension alone. */
export interface FileKind {
  readonly format: FileFormat
  readonly packing: Packing
  /** File name without folder, extensions and the number of a shard; the default source name. */
  readonly stem: string
}

/** @throws {ConfigError} UNKNOWN_FILE_TYPE for an extension that is not read. */
export function fileKind(name: string): FileKind {
  const kind = knownFileKind(name)
  if (kind === undefined) {
    throw new ConfigError(
      'UNKNOWN_FILE_TYPE',
      `${printable(name)}: expected a data file ending in ${READ_EXTENSIONS}, received ` +
        `"${printable(path.posix.basename(name))}"; convert it or narrow the path`,
      { file: name },
    )
  }
  if (kind.format === 'table' && kind.packing !== 'none') {
    const ending = PACKINGS.find(([, packing]) => packing === kind.packing)![0]
    throw new ConfigError(
      'UNKNOWN_FILE_TYPE',
      `${printable(name)}: a Parquet file is packed inside and read from both ends; unpack it (remove ${ending})`,
      { file: name },
    )
  }
  return kind
}

/** The extensions of data files, for messages. */
export const READ_EXTENSIONS = `${EXTENSIONS.filter(([format]) => format !== 'table')
  .flatMap(([, extensions]) => extensions)
  .join(', ')}, each also with .gz or .zst, or .parquet`

/** As `fileKind`, but undefined for an extension that is not read. */
export function knownFileKind(name: string): FileKind | undefined {
  const base = path.posix.basename(name)
  const [ending, packing] = PACKINGS.find(([e]) => base.toLowerCase().endsWith(e)) ?? ['', 'none' as const]
  const inner = base.slice(0, base.length - ending.length)
  const lower = inner.toLowerCase()
  for (const [format, extensions] of EXTENSIONS) {
    const extension = extensions.find((e) => lower.endsWith(e))
    if (extension !== undefined)
      return { format, packing, stem: inner.slice(0, -extension.length).replace(SHARD, '') || base }
  }
  return undefined
}
