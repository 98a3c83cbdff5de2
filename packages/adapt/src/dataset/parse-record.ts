import { isUtf8 } from 'node:buffer'
import { DataError } from '../errors.js'
import type { Document, DocumentContent, ResolvedFile } from './document.js'
import { printable } from './printable.js'
import { scanJson } from './scan-json.js'
import type { Line } from './split-lines.js'

/** Deepest nesting of a record. */
export const MAX_JSON_DEPTH = 64

type Fail = (code: string, problem: string, cause?: unknown) => never
type JsonRecord = Readonly<Record<string, unknown>>

/**
 * Reads one line of a JSON Lines file. Recognised records: `{text}` (or the field that `textField` names) and
 * `{prompt, completion}`; a record that has both is a completion. `id`, `source` (or `meta.source`) and
 * `weight` are optional; all other fields are ignored.
 *
 * @throws {DataError} BAD_UTF8, BAD_JSON, LFS_POINTER, JSON_TOO_DEEP, DUPLICATE_KEY, UNKNOWN_RECORD, BAD_FIELD,
 *   LONE_SURROGATE; the message starts with `file:line (byte N):`.
 */
export function parseRecord(line: Line, file: ResolvedFile, defaultSource: string): Document {
  const fail = failAt(file, line)
  const text = decodeUtf8(line.bytes, fail)
  const scan = scanJson(line.bytes)
  if (scan.depth > MAX_JSON_DEPTH) {
    fail('JSON_TOO_DEEP', `expected at most ${MAX_JSON_DEPTH} levels of nesting, received ${scan.depth}`)
  }
  const record = parseObject(text, fail)
  if (scan.numKeys !== Object.keys(record).length) {
    fail('DUPLICATE_KEY', `expected each key once, received keys ${keysOf(record)} with repetitions`)
  }
  const content = contentOf(record, file.textField, fail)
  const id = idOf(record, scan.idNumber, fail) ?? `${file.name}:${line.number}`
  const source = file.source ?? sourceOf(record, fail) ?? defaultSource
  // Only an escape can make half a character out of valid UTF-8.
  if (text.includes('\\u')) {
    const strings = [id, source, ...Object.values(content)]
    if (strings.some((s) => /\p{Cs}/u.test(s))) {
      fail('LONE_SURROGATE', 'a \\u escape is half of a surrogate pair; such text has no UTF-8 form')
    }
  }
  return {
    id,
    source,
    path: file.name,
    line: line.number,
    byteOffset: line.byteOffset,
    weight: weightOf(record, fail),
    content,
  }
}

/** A function that throws a DataError placed at a line of a file. */
export function failAt(
  file: ResolvedFile,
  line: { readonly number: number; readonly byteOffset: number },
): Fail {
  return (code, problem, cause) => {
    throw new DataError(
      code,
      `${printable(file.name)}:${line.number} (byte ${line.byteOffset}): ${problem}`,
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

function parseObject(text: string, fail: Fail): JsonRecord {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    if (text.startsWith('version https://git-lfs.github.com/spec/')) {
      fail('LFS_POINTER', 'this is a Git LFS pointer, not the data; run `git lfs pull`', error)
    }
    fail('BAD_JSON', `expected one JSON object on the line: ${printable((error as Error).message)}`, error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
    fail('BAD_JSON', `expected one JSON object on the line, received ${kind}`)
  }
  return value as JsonRecord
}

function contentOf(record: JsonRecord, textField: string | undefined, fail: Fail): DocumentContent {
  if (textField === undefined && Object.hasOwn(record, 'prompt') && Object.hasOwn(record, 'completion')) {
    return {
      kind: 'completion',
      prompt: stringOf(record, 'prompt', fail),
      completion: stringOf(record, 'completion', fail),
    }
  }
  const field = textField ?? 'text'
  if (!Object.hasOwn(record, field)) {
    const accepted =
      textField === undefined ? '"text", or "prompt" and "completion"' : `"${printable(textField)}"`
    fail(
      'UNKNOWN_RECORD',
      `expected a record with the key ${accepted}, received the keys ${keysOf(record)}; ` +
        'rename the field or set text_field',
    )
  }
  return { kind: 'text', text: stringOf(record, field, fail) }
}

function stringOf(record: JsonRecord, key: string, fail: Fail): string {
  const value = record[key]
  if (typeof value !== 'string') {
    fail('BAD_FIELD', `"${printable(key)}": expected a string, received ${show(value)}`)
  }
  return value as string
}

function idOf(record: JsonRecord, written: string | undefined, fail: Fail): string | undefined {
  const id = fieldOf(record, 'id')
  if (id === undefined || id === null) {
    return undefined
  }
  if (typeof id === 'string' && id !== '') {
    return id
  }
  if (typeof id === 'number') {
    const text = Number.isSafeInteger(id) ? String(id) : written
    if (text !== undefined) {
      return text
    }
  }
  return fail('BAD_FIELD', `"id": expected a non-empty string or a number, received ${show(id)}`)
}

function sourceOf(record: JsonRecord, fail: Fail): string | undefined {
  const meta = fieldOf(record, 'meta')
  const inMeta = typeof meta === 'object' && meta !== null ? fieldOf(meta as JsonRecord, 'source') : undefined
  const source = fieldOf(record, 'source') ?? inMeta
  if (source === undefined || source === null) {
    return undefined
  }
  if (typeof source !== 'string' || source === '') {
    fail(
      'BAD_FIELD',
      `"source": expected a non-empty string, received ${show(source)}; or set source in the config`,
    )
  }
  return source as string
}

function weightOf(record: JsonRecord, fail: Fail): number {
  const weight = fieldOf(record, 'weight') ?? 1
  if (typeof weight !== 'number' || !Number.isFinite(weight) || weight < 0) {
    fail('BAD_FIELD', `"weight": expected a finite number >= 0, received ${show(weight)}`)
  }
  return weight as number
}

function fieldOf(record: JsonRecord, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

function show(value: unknown): string {
  return printable(typeof value === 'number' ? String(value) : JSON.stringify(value), 60)
}

function keysOf(record: JsonRecord): string {
  const keys = Object.keys(record)
  const shown = keys.slice(0, 12).map((k) => `"${printable(k, 40)}"`)
  return keys.length === 0 ? '(none)' : shown.join(', ') + (keys.length > 12 ? ', ...' : '')
}
