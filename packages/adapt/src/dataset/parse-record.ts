import { isUtf8 } from 'node:buffer'
import { DataError } from '../errors.js'
import type { Document, ResolvedFile } from './document.js'
import { textsOf } from './json-value.js'
import { mapColumns } from './map-columns.js'
import { printable } from './printable.js'
import { readJsonRecord } from './read-json.js'
import { contentOf, RECORD_KEYS } from './record-content.js'
import { type Fail, idOf, isObject, type JsonRecord, sourceOf, weightOf } from './record-fields.js'
import type { Line } from './split-lines.js'
import { ignoredControls } from './training-controls.js'

const ONE_OBJECT = 'one JSON object on the line'

/**
 * Reads one line of a JSON Lines file; `contentOf` says what a record may hold. `id`, `source` (or `meta.source`) and
 * `weight` are optional; all other fields are ignored.
 *
 * @throws {DataError} BAD_UTF8, BAD_JSON, LFS_POINTER, JSON_TOO_DEEP, DUPLICATE_KEY, UNKNOWN_RECORD, BAD_FIELD,
 *   BAD_MESSAGES, LONE_SURROGATE; the message starts with `file:line (byte N):`.
 */
export function parseRecord(line: Line, file: ResolvedFile, defaultSource: string): Document {
  const fail = failAt(file, line)
  const text = decodeUtf8(line.bytes, fail)
  if (text.startsWith('version https://git-lfs.github.com/spec/')) {
    fail('LFS_POINTER', 'this is a Git LFS pointer, not the data; run `git lfs pull`')
  }
  const { value, idNumber } = readJsonRecord(text, line.bytes, ONE_OBJECT, fail)
  if (!isObject(value)) {
    const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
    fail('BAD_JSON', `expected ${ONE_OBJECT}, received ${kind}`)
  }
  const mapped = mapColumns(value as JsonRecord, file, fail)
  const written = file.columns?.id === undefined ? idNumber : undefined
  const document = toDocument(mapped, written, { file, line, defaultSource }, fail)
  // Only an escape can make half a character out of valid UTF-8.
  if (text.includes('\\u') && /\p{Cs}/u.test(textsOf([document.id, document.source, document.content]))) {
    fail('LONE_SURROGATE', 'a \\u escape is half of a surrogate pair; such text has no UTF-8 form')
  }
  return document
}

/**
 * A parsed record as a document.
 * @param idNumber  The id as written when it is a number.
 * @throws {DataError} UNKNOWN_RECORD, BAD_FIELD, BAD_MESSAGES.
 */
export function toDocument(
  record: JsonRecord,
  idNumber: string | undefined,
  { file, line, defaultSource }: RecordPlace,
  fail: Fail,
): Document {
  const content = contentOf(record, file.textField, fail)
  const ignored = ignoredControls(record, (key) => RECORD_KEYS.includes(key) || key === file.textField)
  return {
    id: idOf(record, idNumber, fail) ?? `${file.name}:${line.number}`,
    source: file.source ?? sourceOf(record, fail) ?? defaultSource,
    path: file.name,
    line: line.number,
    byteOffset: line.byteOffset,
    weight: weightOf(record, fail),
    content,
    ...(ignored.length === 0 ? {} : { ignoredControls: ignored }),
  }
}

/** Where a record stands. */
export interface RecordPlace {
  readonly file: ResolvedFile
  readonly line: { readonly number: number; readonly byteOffset: number }
  /** Source of the record when neither it nor its entry names one. */
  readonly defaultSource: string
}

/** A function that throws a DataError placed at a line of a file, or a row of a table. */
export function failAt(
  file: ResolvedFile,
  line: { readonly number: number; readonly byteOffset: number; readonly fileLine?: number },
  kind: 'line' | 'row' = 'line',
): Fail {
  const where =
    line.fileLine === undefined ? `byte ${line.byteOffset}` : `line ${line.fileLine}, byte ${line.byteOffset}`
  return (code, problem, cause) => {
    throw new DataError(
      code,
      `${printable(file.name)}:${line.number} (${kind === 'row' ? 'row' : where}): ${problem}`,
      { file: file.name, line: line.number, byteOffset: line.byteOffset },
      cause === undefined ? undefined : { cause },
    )
  }
}

/** Strict UTF-8 to text. @throws {DataError} BAD_UTF8 with the position of the first wrong byte. */
export function decodeUtf8(bytes: Buffer, fail: Fail): string {
  if (!isUtf8(bytes)) {
    const hint = bytes.includes(0) ? '; the file may be UTF-16' : ''
    fail(
      'BAD_UTF8',
      `expected UTF-8, byte ${firstBadByte(bytes)} of the line is not${hint}; convert the file`,
    )
  }
  return bytes.toString('utf8')
}

function firstBadByte(bytes: Buffer): number {
  // The longest prefix that is valid but for a character cut at its end.
  let good = 0
  let bad = bytes.length
  while (good < bad) {
    const middle = (good + bad + 1) >> 1
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      bad = middle - 1
    }
  }
  return good
}
