import { open } from 'node:fs/promises'
import { type FileMetaData, parquetMetadata } from 'hyparquet'
import { AdaptError, ConfigError, DataError, ResourceError } from '../errors.js'
import type { Document, ResolvedFile } from './document.js'
import { type JsonValue, jsonFloat, jsonInteger, jsonObject } from './json-value.js'
import { mapColumns } from './map-columns.js'
import { ParquetBudget } from './parquet-budget.js'
import { requireCodec } from './parquet-codecs.js'
import { BadValue, ParquetUnsupported } from './parquet-faults.js'
import { type OpenFile, readPages } from './parquet-pages.js'
import { ColumnRows } from './parquet-rows.js'
import { type Column, columnNames, readColumns } from './parquet-schema.js'
import { thriftEnd } from './parquet-thrift.js'
import { JsonCell } from './parquet-values.js'
import { failAt, toDocument } from './parse-record.js'
import { printable } from './printable.js'
import { RECORD_KEYS } from './record-content.js'
import { type Fail, isObject, keyList } from './record-fields.js'
import { looksLikeControl } from './training-controls.js'

/** One row of a table. */
export interface TableRow {
  /** From 1. */
  readonly number: number
  readonly values: Readonly<Record<string, unknown>>
}

const MAX_METADATA_BYTES = 64 * 1024 * 1024
const MAX_COLUMN_DEPTH = 100
/** Most rows that are made at once. */
const MAX_ROWS = 1024

/**
 * Streams the rows of a Parquet file, holding a page of each column. Only columns that a record can use are read, unless all are asked for.
 *
 * @throws {DataError} PARQUET_DAMAGED; PARQUET_UNSUPPORTED for what is not read, by its name; UNKNOWN_RECORD when no
 *   column is known. @throws {HostileFileError} PARQUET_BOMB. @throws {ConfigError} FILE_NOT_FOUND.
 * @throws {ResourceError} READ_FAILED.
 */
export async function* readParquet(
  file: ResolvedFile,
  { allColumns = false }: { readonly allColumns?: boolean } = {},
): AsyncGenerator<TableRow, void, undefined> {
  const source = await guard(file, () => openFile(file.path))
  try {
    const metadata = await guard(file, () => readMetadata(source))
    const columns = await guard(file, async () => {
      return readColumns(metadata, allColumns ? columnNames(metadata) : wantedColumns(metadata, file))
    })
    const budget = new ParquetBudget(file.name, source.size)
    let number = 1
    for (const group of metadata.row_groups) {
      const rows = columns.map((column) => rowsOf(column, group, source, budget))
      for (let left = Number(group.num_rows); left > 0; ) {
        const part = await guard(file, () => takeRows(rows, left))
        left -= part.length
        for (const values of part) yield { number: number++, values }
      }
      await guard(file, async () => void (await Promise.all(rows.map((column) => column.requireEnd()))))
    }
  } finally {
    await source.handle.close()
  }
}

/**
 * A row as a document; a null is a field that is not there.
 * @throws {DataError} UNKNOWN_RECORD, BAD_FIELD, BAD_MESSAGES, BAD_UTF8; the message starts with `file:row`.
 */
export function parseRow(row: TableRow, file: ResolvedFile, defaultSource: string): Document {
  const line = { number: row.number, byteOffset: 0 }
  const fail = failAt(file, line, 'row')
  const mapped = mapColumns(row.values, file, fail)
  const { id } = mapped
  const fields = Object.entries(mapped).map(([key, value]) => {
    // Templates see none of the outermost numbers; their kinds do not matter.
    const isNumber = typeof value === 'bigint' || typeof value === 'number'
    return [key, isNumber ? Number(value) : recordValue(value, fail)]
  })
  const number = typeof id === 'bigint' ? String(id) : undefined
  return toDocument(Object.fromEntries(fields), number, { file, line, defaultSource }, fail)
}

/** A value of a row as one of a record: keys that are null are absent, bigints are integers, other numbers floats. */
export function recordValue(value: unknown, fail: Fail): JsonValue {
  if (value instanceof BadValue) return fail(value.code, value.problem)
  if (value instanceof JsonCell) return value.value
  if (value === null || value === undefined) return null
  if (typeof value === 'bigint') return jsonInteger(value)
  if (typeof value === 'number') return jsonFloat(value)
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>)
  if (Array.isArray(value)) return value.map((item) => recordValue(item, fail))
  if (!isObject(value)) return value as JsonValue
  const entries = new Map<string, JsonValue>()
  for (const [key, inner] of value instanceof Map ? value : Object.entries(value)) {
    if (inner !== null && inner !== undefined) entries.set(key, recordValue(inner, fail))
  }
  return jsonObject(entries)
}

function wantedColumns(metadata: FileMetaData, file: ResolvedFile): string[] {
  const names = columnNames(metadata)
  const named = [
    ...Object.values(file.columns ?? {}),
    ...(file.textField === undefined ? [] : [file.textField]),
  ]
  const wanted = [...RECORD_KEYS, ...named]
  // What looks like a control of training is read to be named, where it can be.
  const isNamed = (name: string) => looksLikeControl(name) && canRead(metadata, name)
  const columns = names.filter((name) => wanted.includes(name) || isNamed(name))
  const twice = columns.find((name, i) => columns.indexOf(name) !== i)
  if (twice !== undefined) throw new ParquetUnsupported(`two columns of the name "${printable(twice)}"`)
  const missing = named.find((name) => !names.includes(name))
  if (missing !== undefined) {
    throw new DataError(
      'UNKNOWN_COLUMN',
      `${printable(file.name)}: expected the column "${printable(missing, 60)}", as the entry says, received ${keyList(names)}`,
      { file: file.name },
    )
  }
  if (columns.some((name) => wanted.includes(name))) return columns
  throw new DataError(
    'UNKNOWN_RECORD',
    `${printable(file.name)}: expected a column of a record (${keyList(RECORD_KEYS)}), received the columns ` +
      `${keyList(names)}; name them under columns or set text_field`,
    { file: file.name },
  )
}

function canRead(metadata: FileMetaData, name: string): boolean {
  try {
    return readColumns(metadata, [name]).length > 0
  } catch (error) {
    if (error instanceof ParquetUnsupported) return false
    throw error
  }
}

function rowsOf(
  column: Column,
  group: FileMetaData['row_groups'][number],
  source: OpenFile,
  budget: ParquetBudget,
): ColumnRows {
  const paths = new Map(
    group.columns.map((chunk) => [JSON.stringify(chunk.meta_data?.path_in_schema), chunk]),
  )
  return new ColumnRows(column, async function* (leaf) {
    const chunk = paths.get(JSON.stringify(leaf.path))
    if (chunk?.meta_data === undefined) throw new Error('a row group without one of its columns')
    if (chunk.file_path !== undefined) throw new ParquetUnsupported('columns that lie in other files')
    if (chunk.crypto_metadata !== undefined) throw new ParquetUnsupported('encrypted columns')
    requireCodec(chunk.meta_data.codec)
    yield* readPages(source, chunk.meta_data, leaf, budget)
  })
}

/** Some of the next rows, at least one. */
async function takeRows(columns: readonly ColumnRows[], atMost: number): Promise<Record<string, unknown>[]> {
  let numRows = Math.min(atMost, MAX_ROWS)
  for (const column of columns) numRows = Math.min(numRows, await column.fill())
  if (numRows === 0) throw new Error(`an end ${atMost} rows before the one announced`)
  const rows: Record<string, unknown>[] = []
  for (let i = 0; i < numRows; i++) {
    const row: Record<string, unknown> = {}
    for (const column of columns) row[column.name] = column.next()
    rows.push(row)
  }
  return rows
}

async function openFile(path: string): Promise<OpenFile> {
  const handle = await open(path)
  return { handle, size: (await handle.stat()).size }
}

/** Reads the footer; refuses counts that cannot be, before anything is made of that size. */
async function readMetadata({ handle, size }: OpenFile): Promise<FileMetaData> {
  const read = async (start: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(bytes, at, length - at, start + at)
      if (bytesRead === 0) throw new Error('a file that became shorter')
      at += bytesRead
    }
    return bytes
  }
  if (size < 12) throw new Error(`${size} bytes`)
  const ending = await read(size - 8, 8)
  const magic = ending.toString('latin1', 4)
  if (magic === 'PARE') throw new ParquetUnsupported('an encrypted footer')
  if (magic !== 'PAR1') throw new Error('another kind of file, or only its beginning')
  const length = ending.readUInt32LE()
  if (length > size - 12 || length > MAX_METADATA_BYTES) throw new Error('a footer of impossible length')
  const footer = await read(size - 8 - length, length + 8)
  if (thriftEnd(footer.subarray(0, length), 0) === undefined) throw new Error('a footer that ends too early')
  const metadata = parquetMetadata(footer, { geoparquet: false })
  requireShallow(metadata)
  let numRows = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    if (!(Number.isSafeInteger(rows) && rows >= 0)) throw new Error('an impossible number of rows')
    numRows += rows
  }
  if (Number(metadata.num_rows) !== numRows) throw new Error('row groups that do not add up to its rows')
  return metadata
}

/** The columns are made into a tree by functions that call themselves. */
function requireShallow({ schema }: FileMetaData): void {
  const open: number[] = []
  for (const { num_children: numChildren } of schema) {
    if (open.length > 0) open[open.length - 1]! -= 1
    if (numChildren) open.push(numChildren)
    if (open.length > MAX_COLUMN_DEPTH)
      throw new ParquetUnsupported(`columns of more than ${MAX_COLUMN_DEPTH} levels`)
    while (open.at(-1) === 0) open.pop()
  }
}

/** The reader throws all kinds of errors at a damaged file. */
async function guard<T>(file: ResolvedFile, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof AdaptError) throw error
    if (error instanceof ParquetUnsupported) throw unsupported(file, error)
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

function unsupported({ name }: ResolvedFile, cause: ParquetUnsupported): DataError {
  const said = `${printable(name)}: ${printable(cause.message)}; write it again without`
  return new DataError('PARQUET_UNSUPPORTED', said, { file: name }, { cause })
}
