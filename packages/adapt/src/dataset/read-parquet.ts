import { open } from 'node:fs/promises'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { decompress as unzstdWhole } from 'fzstd'
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet'
import { AdaptError, ConfigError, DataError, ResourceError } from '../errors.js'
import type { Document, ResolvedFile } from './document.js'
import { failAt, toDocument } from './parse-record.js'
import { printable } from './printable.js'
import { readZstdHeader } from './read-zstd.js'
import { RECORD_KEYS } from './record-content.js'
import { type Fail, isObject, type JsonRecord, keyList } from './record-fields.js'

/** One row of a table. */
export interface TableRow {
  /** From 1. */
  readonly number: number
  readonly values: Readonly<Record<string, unknown>>
}

/** A row group is held whole unless the file has a page index; a larger one is refused. */
const MAX_GROUP_BYTES = 512 * 1024 * 1024
/** Rows are read in parts of about this many bytes where the page index allows it. */
const PART_BYTES = 32 * 1024 * 1024
const MAX_METADATA_BYTES = 256 * 1024 * 1024
const CODECS = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', 'ZSTD']

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Stands for a text that is no UTF-8, so that only its row is bad. */
class InvalidText {}
const INVALID_TEXT = new InvalidText()

/**
 * Streams the rows of a Parquet file, holding one row group at a time, or less where the file has a page index. Only
 * columns that a record can use are read.
 *
 * @throws {DataError} PARQUET_DAMAGED; PARQUET_UNSUPPORTED for a compression that is not read, or a row group above
 *   512 MiB; UNKNOWN_RECORD when no column is known. @throws {ConfigError} FILE_NOT_FOUND.
 * @throws {ResourceError} READ_FAILED.
 */
export async function* readParquet(file: ResolvedFile): AsyncGenerator<TableRow, void, undefined> {
  const source = await guard(file, () => openBuffer(file))
  try {
    const metadata = await guard(file, async () => checkedMetadata(await parquetMetadataAsync(source.buffer)))
    const columns = columnsOf(metadata, file)
    for (const { start, end } of partsOf(metadata, columns, file)) {
      const rows = await guard(file, () =>
        parquetReadObjects({
          file: source.buffer,
          metadata,
          columns,
          rowStart: start,
          rowEnd: end,
          compressors: COMPRESSORS,
          useOffsetIndex: true,
          parsers: { stringFromBytes: (bytes?: Uint8Array) => bytes && decodeText(bytes) },
        }),
      )
      if (rows.length !== end - start) {
        throw damaged(file, `${rows.length} rows where ${end - start} were announced`)
      }
      for (const [i, values] of rows.entries()) yield { number: start + i + 1, values }
    }
  } finally {
    await source.close()
  }
}

/**
 * A row as a document; a null is a field that is not there.
 * @throws {DataError} UNKNOWN_RECORD, BAD_FIELD, BAD_MESSAGES, BAD_UTF8; the message starts with `file:row`.
 */
export function parseRow(row: TableRow, file: ResolvedFile, defaultSource: string): Document {
  const line = { number: row.number, byteOffset: 0 }
  const fail = failAt(file, line, 'row')
  const { id } = row.values
  const record = plainValue(row.values, fail) as JsonRecord
  return toDocument(
    record,
    typeof id === 'bigint' ? String(id) : undefined,
    { file, line, defaultSource },
    fail,
  )
}

/** Values as JSON would give them. */
function plainValue(value: unknown, fail: Fail): unknown {
  if (value instanceof InvalidText)
    return fail('BAD_UTF8', 'expected UTF-8, a text of the row is not; convert it')
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Date) return value.toISOString()
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>)
  if (Array.isArray(value)) return value.map((item) => plainValue(item ?? null, fail))
  if (!isObject(value)) return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined)
  return Object.fromEntries(entries.map(([key, inner]) => [key, plainValue(inner, fail)]))
}

function decodeText(bytes: Uint8Array): string | InvalidText {
  try {
    return utf8.decode(bytes)
  } catch {
    return INVALID_TEXT
  }
}

function columnsOf(metadata: FileMetaData, file: ResolvedFile): string[] {
  const names = parquetSchema(metadata).children.map(({ element }) => element.name)
  const wanted = [...RECORD_KEYS, ...(file.textField === undefined ? [] : [file.textField])]
  const columns = names.filter((name) => wanted.includes(name))
  if (columns.length > 0) return columns
  throw new DataError(
    'UNKNOWN_RECORD',
    `${printable(file.name)}: expected a column of a record (${keyList(RECORD_KEYS)}), received the columns ` +
      `${keyList(names)}; rename one or set text_field`,
    { file: file.name },
  )
}

/** Ranges of rows that are read at once. */
function partsOf(
  { row_groups }: FileMetaData,
  columns: readonly string[],
  file: ResolvedFile,
): { readonly start: number; readonly end: number }[] {
  const parts: { start: number; end: number }[] = []
  let first = 0
  for (const group of row_groups) {
    const numRows = Number(group.num_rows)
    const chunks = group.columns.filter((c) => columns.includes(c.meta_data?.path_in_schema[0] ?? ''))
    const codec = chunks.map((c) => c.meta_data!.codec).find((name) => !CODECS.includes(name))
    if (codec !== undefined) {
      const readable = CODECS.map((name) => name.toLowerCase()).join(', ')
      throw unsupported(file, `compressed with ${printable(String(codec))}, expected one of ${readable}`)
    }
    const numBytes = chunks.reduce((sum, c) => sum + Number(c.meta_data!.total_uncompressed_size), 0)
    const hasIndex = chunks.every((c) => c.offset_index_offset !== undefined)
    if (numBytes > MAX_GROUP_BYTES && !hasIndex) {
      throw unsupported(
        file,
        `a row group of ${numBytes} bytes, expected at most ${MAX_GROUP_BYTES} without a page index`,
      )
    }
    const step = hasIndex ? Math.max(1, Math.floor((numRows * PART_BYTES) / Math.max(1, numBytes))) : numRows
    for (let at = 0; at < numRows; at += step) {
      parts.push({ start: first + at, end: first + Math.min(numRows, at + step) })
    }
    first += numRows
  }
  return parts
}

/** Refuses counts that cannot be, before anything is made of that size. */
function checkedMetadata(metadata: FileMetaData): FileMetaData {
  let numRows = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    const isWhole =
      Number.isSafeInteger(rows) && rows >= 0 && group.columns.every((c) => c.meta_data !== undefined)
    if (!isWhole) throw new Error('a row group that is not whole')
    // A value takes at least a bit of a level, run lengths apart: a larger count is a lie that would fill the memory.
    if (rows > 2 ** 31) throw new Error('an impossible number of rows')
    numRows += rows
  }
  if (Number(metadata.num_rows) !== numRows) throw new Error('row groups that do not add up to its rows')
  return metadata
}

const COMPRESSORS: Compressors = {
  GZIP: (bytes, length) => gunzipSync(bytes, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length) }),
  ZSTD(bytes, length) {
    const header = readZstdHeader(bytes)
    if (typeof header === 'string') throw new Error(header)
    if (header.contentBytes !== undefined && header.contentBytes > length)
      throw new Error('a page of another length')
    return unzstdWhole(bytes)
  },
}

async function openBuffer(
  file: ResolvedFile,
): Promise<{ readonly buffer: AsyncBuffer; close(): Promise<void> }> {
  const handle = await open(file.path)
  const { size } = await handle.stat()
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    const length = end - start
    if (!(start >= 0 && length >= 0 && end <= size)) throw new Error('an address outside the file')
    if (length > MAX_GROUP_BYTES + MAX_METADATA_BYTES) throw new Error('a part of impossible length')
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(bytes, at, length - at, start + at)
      if (bytesRead === 0) throw new Error('a file that became shorter')
      at += bytesRead
    }
    return bytes.buffer
  }
  return {
    buffer: {
      byteLength: size,
      slice(start, end = size) {
        const bytes = read(start, end)
        // The reader asks ahead and may give up before it looks; then nobody else handles a failure.
        bytes.catch(() => {})
        return bytes
      },
    },
    close: () => handle.close(),
  }
}

/** The reader throws all kinds of errors at a damaged file. */
async function guard<T>(file: ResolvedFile, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof AdaptError) throw error
    const { code, syscall, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') {
      const said = `${printable(file.name)}: no such file`
      throw new ConfigError('FILE_NOT_FOUND', said, { file: file.name }, { cause: error })
    }
    if (syscall !== undefined) {
      const said = `${printable(file.name)}: cannot be read: ${printable(message)}`
      throw new ResourceError('READ_FAILED', said, { file: file.name }, { cause: error })
    }
    throw damaged(file, printable(message ?? 'something unreadable'), error)
  }
}

function damaged({ name }: ResolvedFile, what: string, cause?: unknown): DataError {
  const said = `${printable(name)}: expected a whole Parquet file, found ${what}; fetch or write the file again`
  return new DataError('PARQUET_DAMAGED', said, { file: name }, { cause })
}

function unsupported({ name }: ResolvedFile, what: string): DataError {
  const said = `${printable(name)}: ${what}; write it again with another compression or smaller row groups`
  return new DataError('PARQUET_UNSUPPORTED', said, { file: name })
}
