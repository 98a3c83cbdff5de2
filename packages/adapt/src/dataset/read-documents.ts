import { DataError } from '../errors.js'
import type { Document, ResolvedFile } from './document.js'
import { type FileKind, fileKind } from './file-kind.js'
import type { JsonValue } from './json-value.js'
import { parseCsvRecord, readHeader } from './parse-csv-record.js'
import { decodeUtf8, failAt, parseRecord } from './parse-record.js'
import { printable } from './printable.js'
import { readBytes } from './read-bytes.js'
import { splitCsv } from './read-csv.js'
import { readJsonField } from './read-json.js'
import { parseRow, readParquet } from './read-parquet.js'
import { jsonOfFields, jsonOfRow, jsonOfText } from './record-json.js'
import { splitJson } from './split-json.js'
import { type Line, MAX_LINE_BYTES, splitLines } from './split-lines.js'

/** Longest plain text file; it becomes one document, so it is held whole. */
export const MAX_TEXT_FILE_BYTES = 64 * 1024 * 1024

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** What a reader met; filled while `readDocuments` runs. */
export interface ReadCounts {
  numDocuments: number
  numBlankLines: number
  numBadRecords: number
}

/** How many bad records are borne, and where they are counted. */
export interface ReadOptions {
  /** Bad records that are skipped and counted before one is an error. Default 0: the first one is. */
  readonly maxBadRecords?: number
  /** Counters to add to. */
  readonly counts?: ReadCounts
  /** Told of every bad record that is skipped: the file's name, and the error that it would have been. */
  readonly onBadRecord?: (file: string, error: DataError) => void
  /** Told of every gzip file of several members, whose completeness cannot be verified. */
  readonly onUnverified?: (file: string) => void
}

/** A record as a document, and as it stands in its file. */
export interface DataRecord {
  readonly document: Document
  /** The record on one line of JSON, with all its keys and every value to the last digit; a text file is `{"text"}`. */
  json(): string
}

/**
 * Streams the documents of the files in constant memory: files in order, lines in order.
 * `.jsonl`, `.json-lines`, `.jsonlines` and `.ndjson` hold one record per line, lines end at 0x0A only, blank
 * lines are skipped and counted. A `.json` file holds an array of records, or records after one another; `.csv` and `.tsv`
 * files have a line of column names; a `.txt` file is one document. Each may be gzip (`.gz`) or Zstandard (`.zst`). A
 * `.parquet` file holds one record per row. Text is strict UTF-8.
 *
 * @throws {DataError} what `parseRecord` throws; BAD_CSV, UNKNOWN_COLUMN, BYTE_ORDER_MARK, LINE_TOO_LONG (16 MiB), GZIP_DAMAGED, ZSTD_DAMAGED,
 *   PARQUET_DAMAGED, PARQUET_UNSUPPORTED; EMPTY_DATA at the end when no file held a valid record.
 * @throws {HostileFileError} GZIP_BOMB, ZSTD_BOMB. @throws {ConfigError} FILE_NOT_FOUND. @throws {ResourceError} READ_FAILED.
 */
export async function* readDocuments(
  files: readonly ResolvedFile[],
  options: ReadOptions = {},
): AsyncGenerator<Document, void, undefined> {
  for await (const { document } of readAll(files, options)) yield document
}

/**
 * Streams the records that {@link readDocuments} makes documents of, in the same order, to be written again.
 * @throws what `readDocuments` throws, also for columns of a table that no document needs.
 */
export function readRecords(
  files: readonly ResolvedFile[],
  options: ReadOptions = {},
): AsyncGenerator<DataRecord, void, undefined> {
  return readAll(files, { ...options, allColumns: true })
}

interface AllOptions extends ReadOptions {
  /** Of tables, also those that no document needs. */
  readonly allColumns?: boolean
}

async function* readAll(
  files: readonly ResolvedFile[],
  options: AllOptions,
): AsyncGenerator<DataRecord, void, undefined> {
  const counts = options.counts ?? { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
  const numRead = new Map<number, number>()
  let total = 0
  for (const file of files) {
    const limit = file.limit ?? Number.POSITIVE_INFINITY
    let read = numRead.get(file.entry) ?? 0
    if (read >= limit) {
      continue
    }
    for await (const { parse, json } of readFile(file, counts, options)) {
      const document = readOrCount(parse, file, counts, options)
      if (document === undefined) continue
      const record = { document, json }
      read += 1
      total += 1
      counts.numDocuments += 1
      yield record
      if (read >= limit) {
        break
      }
    }
    numRead.set(file.entry, read)
  }
  if (total === 0) {
    const skipped = `${counts.numBlankLines} blank lines, ${counts.numBadRecords} bad records`
    const first = files[0] === undefined ? '' : ` (first: ${printable(files[0].name)})`
    throw new DataError(
      'EMPTY_DATA',
      `expected at least one record in ${files.length} files${first}, found ${skipped}`,
    )
  }
}

/** A record before anybody looks into it. */
interface RawRecord {
  /** Line, row of a table, or number in a JSON array; from 1. */
  readonly line: number
  /** @throws {DataError} for a record that is no document. */
  parse(): Document
  json(): string
}

/** A record as a value, whatever its keys are. */
export interface DataRow {
  /** `ResolvedFile.name`. */
  readonly path: string
  readonly line: number
  readonly value: JsonValue
}

/**
 * Streams records as they stand, of any keys: of a plain text file its one `text`.
 * @throws what {@link readDocuments} throws of files.
 */
export async function* readRows(files: readonly ResolvedFile[]): AsyncGenerator<DataRow, void, undefined> {
  const counts = { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
  for (const file of files) {
    for await (const { line, json } of readFile(file, counts, { allColumns: true })) {
      const value = readJsonField(json(), failAt(file, { number: line, byteOffset: 0 }))
      yield { path: file.name, line, value }
    }
  }
}

async function* readFile(
  file: ResolvedFile,
  counts: ReadCounts,
  options: AllOptions,
): AsyncGenerator<RawRecord, void, undefined> {
  const known = fileKind(file.name)
  const kind = { ...known, stem: file.defaultSource ?? known.stem }
  if (kind.format === 'table') {
    for await (const row of readParquet(file, { allColumns: options.allColumns === true })) {
      yield {
        line: row.number,
        parse: () => parseRow(row, file, kind.stem),
        json: () => jsonOfRow(row, file),
      }
    }
    return
  }
  const bytes = readBytes({
    path: file.path,
    name: file.name,
    packing: kind.packing,
    onSeveralMembers: () => options.onUnverified?.(file.name),
  })
  if (kind.format === 'text') {
    const record = await readTextFile(bytes, file, kind)
    if (record === undefined) {
      counts.numBlankLines += 1
    } else {
      yield record
    }
    return
  }
  if (kind.format === 'json') {
    yield* readJsonFile(bytes, file, kind)
    return
  }
  if (kind.format === 'csv' || kind.format === 'tsv') {
    yield* readCsvFile(bytes, file, kind)
    return
  }
  const onTooLong = (line: Pick<Line, 'number' | 'byteOffset'>): never =>
    failAt(file, line)(
      'LINE_TOO_LONG',
      `expected a line of at most ${MAX_LINE_BYTES} bytes; is this one JSON array or a file without line ends?`,
    )
  for await (const { lines, numEmpty } of splitLines(bytes, onTooLong)) {
    counts.numBlankLines += numEmpty
    for (const line of lines) {
      if (line.number === 1) {
        assertNoByteOrderMark(line, file)
      }
      if (isBlank(line.bytes)) {
        counts.numBlankLines += 1
        continue
      }
      yield {
        line: line.number,
        parse: () => parseRecord(line, file, kind.stem),
        json: () => jsonOfText(line.bytes),
      }
    }
  }
}

async function* readJsonFile(
  bytes: AsyncIterable<Buffer>,
  file: ResolvedFile,
  kind: FileKind,
): AsyncGenerator<RawRecord, void, undefined> {
  const refuse = (place: Omit<Line, 'bytes'>, problem: string): never =>
    failAt(file, place)('BAD_JSON', problem)
  for await (const items of splitJson(withoutMark(bytes, file), refuse)) {
    for (const item of items) {
      yield {
        line: item.number,
        parse: () => parseItem(item, file, kind),
        json: () => jsonOfText(item.bytes),
      }
    }
  }
}

/** A file that is one object around its records is a mistake worth a word. */
function parseItem(item: Line, file: ResolvedFile, kind: FileKind): Document {
  try {
    return parseRecord(item, file, kind.stem)
  } catch (error) {
    const isWrapped =
      item.number === 1 && /^\{\s*"[^"\\]*"\s*:\s*[[{]/.test(item.bytes.toString('utf8', 0, 200))
    if (!(error instanceof DataError && error.code === 'UNKNOWN_RECORD' && isWrapped)) throw error
    const advice =
      'an object around the records is not read: write the list alone, or one record a line as .jsonl'
    throw new DataError(error.code, `${error.message}; ${advice}`, error.context, { cause: error })
  }
}

async function* readCsvFile(
  bytes: AsyncIterable<Buffer>,
  file: ResolvedFile,
  kind: FileKind,
): AsyncGenerator<RawRecord, void, undefined> {
  const separator = kind.format === 'csv' ? ',' : '\t'
  const refuse = (place: Omit<Line, 'bytes'>, problem: string): never =>
    failAt(file, place)('BAD_CSV', problem)
  let names: readonly string[] | undefined
  for await (const records of splitCsv(skipMark(bytes), separator.charCodeAt(0), refuse)) {
    for (const record of records) {
      if (names === undefined) {
        names = readHeader(record, file, separator)
        continue
      }
      const columns = names
      yield {
        line: record.number,
        parse: () => parseCsvRecord(record, columns, file, kind.stem),
        json: () => jsonOfFields(record, columns, file),
      }
    }
  }
}

/** Spreadsheets put a byte order mark before their CSV. */
async function* skipMark(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let isFirst = true
  for await (const chunk of bytes) {
    yield isFirst && chunk.subarray(0, 3).equals(BYTE_ORDER_MARK) ? chunk.subarray(3) : chunk
    isFirst = false
  }
}

async function* withoutMark(
  bytes: AsyncIterable<Buffer>,
  file: ResolvedFile,
): AsyncGenerator<Buffer, void, undefined> {
  let isFirst = true
  for await (const chunk of bytes) {
    if (isFirst) {
      const start = { number: 1, byteOffset: 0, bytes: chunk }
      assertNoByteOrderMark(start, file)
      // No text begins so in UTF-8: it is the mark of UTF-16.
      if (chunk[0]! >= 0xfe) decodeUtf8(chunk.subarray(0, 8), failAt(file, start))
    }
    isFirst = false
    yield chunk
  }
}

async function readTextFile(
  bytes: AsyncIterable<Buffer>,
  file: ResolvedFile,
  kind: FileKind,
): Promise<RawRecord | undefined> {
  const start = { number: 1, byteOffset: 0 }
  const chunks: Buffer[] = []
  let numBytes = 0
  for await (const chunk of bytes) {
    numBytes += chunk.length
    if (numBytes > MAX_TEXT_FILE_BYTES) {
      const limit = `expected a text file of at most ${MAX_TEXT_FILE_BYTES} bytes (it becomes one document)`
      failAt(file, start)('LINE_TOO_LONG', `${limit}; split it or write it as .jsonl`)
    }
    chunks.push(chunk)
  }
  const whole = { ...start, bytes: Buffer.concat(chunks) }
  assertNoByteOrderMark(whole, file)
  const text = decodeUtf8(whole.bytes, failAt(file, start))
  if (text.trim() === '') {
    return undefined
  }
  const document: Document = {
    id: `${file.name}:1`,
    source: file.source ?? kind.stem,
    path: file.name,
    line: 1,
    byteOffset: 0,
    weight: 1,
    content: { kind: 'text', text },
  }
  return { line: 1, parse: () => document, json: () => JSON.stringify({ text }) }
}

function readOrCount(
  read: () => Document,
  file: ResolvedFile,
  counts: ReadCounts,
  { maxBadRecords = 0, onBadRecord }: ReadOptions,
): Document | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DataError)) {
      throw error
    }
    if (counts.numBadRecords >= maxBadRecords) {
      throw maxBadRecords === 0 ? error : beyondBudget(error, maxBadRecords)
    }
    counts.numBadRecords += 1
    onBadRecord?.(file.name, error)
    return undefined
  }
}

function beyondBudget(error: DataError, maxBadRecords: number): DataError {
  const message = `${error.message}; ${maxBadRecords} bad records before it were skipped (data.max_bad_records)`
  return new DataError(error.code, message, error.context, { cause: error })
}

function assertNoByteOrderMark(line: Line, file: ResolvedFile): void {
  if (line.bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
    failAt(file, line)(
      'BYTE_ORDER_MARK',
      'expected plain UTF-8, the file starts with a byte order mark; remove it',
    )
  }
}

/** Spaces, tabs and carriage returns only: JSON's white space on one line. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((b) => b === 0x20 || b === 0x09 || b === 0x0d)
}
