import type { Document, ResolvedFile } from './document.js'
import { mapColumns } from './map-columns.js'
import { decodeUtf8, failAt, toDocument } from './parse-record.js'
import { printable } from './printable.js'
import type { CsvRecord } from './read-csv.js'
import { readJsonField } from './read-json.js'
import { type Fail, keyList } from './record-fields.js'

/** Columns that may hold a list or an object as JSON, and how it begins then. */
const JSON_COLUMNS: Readonly<Record<string, RegExp>> = {
  messages: /^\s*\[/,
  conversations: /^\s*\[/,
  history: /^\s*\[/,
  meta: /^\s*\{/,
  // Text may begin with a bracket, but hardly like a list of messages.
  prompt: /^\s*\[\s*\{\s*"(role|content|from|value)"\s*:/,
  completion: /^\s*\[\s*\{\s*"(role|content|from|value)"\s*:/,
}

const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i

/**
 * Names of the columns, from the first record of a file; empty for a first one without a name, the index that pandas writes.
 * @throws {DataError} DUPLICATE_KEY, BAD_CSV for another column without a name or another separator, BAD_UTF8.
 */
export function readHeader(record: CsvRecord, file: ResolvedFile, separator: ',' | '\t'): readonly string[] {
  const fail = failAt(file, record)
  const names = record.fields.map((field, i) => {
    if (field !== undefined && field.length > 0) return decodeUtf8(field, fail)
    if (i === 0 && record.fields.length > 1) return ''
    return fail('BAD_CSV', `expected a first line with a name for each column, column ${i + 1} has none`)
  })
  const other =
    names.length === 1 ? [';', '\t', '|', ','].find((mark) => names[0]!.includes(mark)) : undefined
  if (other !== undefined && other !== separator) {
    const wanted = separator === ',' ? 'commas (a file with tabs ends in .tsv)' : 'tabs'
    fail(
      'BAD_CSV',
      `expected columns separated by ${wanted}, received one column "${printable(names[0]!, 80)}"; write it again`,
    )
  }
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    fail('DUPLICATE_KEY', `expected each column once, received "${printable(twice)}" twice`)
  return names
}

/**
 * A record of a CSV file as a document. Fields are text; an empty one without quotes is one that is not there.
 * @throws {DataError} BAD_CSV for another number of fields than columns, BAD_UTF8, and what `toDocument` throws.
 */
export function parseCsvRecord(
  record: CsvRecord,
  names: readonly string[],
  file: ResolvedFile,
  defaultSource: string,
): Document {
  const fail = failAt(file, record)
  if (record.fields.length !== names.length) {
    fail(
      'BAD_CSV',
      `expected ${names.length} fields as in the first line (${keyList(names)}), received ${record.fields.length}`,
    )
  }
  const values: [string, string][] = []
  for (const [i, field] of record.fields.entries()) {
    if (field !== undefined && names[i] !== '') values.push([names[i]!, decodeUtf8(field, fail)])
  }
  const mapped = mapColumns(withAbsent(values, names, file), file, fail)
  const entries = Object.entries(mapped).map(([key, text]) => [key, fieldValue(key, text, fail)])
  return toDocument(Object.fromEntries(entries), undefined, { file, line: record, defaultSource }, fail)
}

/** A column that the entry names is there though this record has nothing in it. */
function withAbsent(
  values: readonly [string, string][],
  names: readonly string[],
  { columns = {} }: ResolvedFile,
) {
  const absent = Object.values(columns).filter((name) => names.includes(name))
  return { ...Object.fromEntries(absent.map((name) => [name, null])), ...Object.fromEntries(values) }
}

/** JSON of a field as {@link parseCsvRecord} understands the column of this key. */
export function jsonFieldOf(key: string, text: string): string {
  if (key === 'weight' && DECIMAL.test(text)) return String(Number(text))
  if (JSON_COLUMNS[key]?.test(text) === true) return text.trim().replace(/\s*[\r\n]\s*/g, ' ')
  return JSON.stringify(text)
}

function fieldValue(key: string, text: unknown, fail: Fail): unknown {
  if (typeof text !== 'string') return text
  if (key === 'weight') return DECIMAL.test(text) ? Number(text) : text
  if (JSON_COLUMNS[key]?.test(text) !== true) return text
  return readJsonField(text, (_, problem, cause) => fail('BAD_FIELD', `"${key}": ${problem}`, cause))
}
