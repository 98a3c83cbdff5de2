import type { ResolvedFile } from './document.js'
import type { JsonValue } from './json-value.js'
import { jsonFieldOf } from './parse-csv-record.js'
import { failAt } from './parse-record.js'
import type { CsvRecord } from './read-csv.js'
import { recordValue, type TableRow } from './read-parquet.js'

/** A record of JSON on one line, every byte of its values as it stands in the file: line ends are found outside strings only. */
export function jsonOfText(bytes: Buffer): string {
  return bytes
    .toString('utf8')
    .trim()
    .replace(/\s*[\r\n]\s*/g, ' ')
}

/** A record of CSV as JSON: texts, but for what a record of JSON must have otherwise; an empty field without quotes is null. */
export function jsonOfFields(
  { fields }: CsvRecord,
  names: readonly string[],
  { columns = {} }: ResolvedFile,
): string {
  const keyOf = new Map(Object.entries(columns).map(([key, column]) => [column, key]))
  return jsonObjectText(
    names.map((name, i) => {
      const field = fields[i]
      const text = field === undefined ? 'null' : jsonFieldOf(keyOf.get(name) ?? name, field.toString('utf8'))
      return [name, text]
    }),
  )
}

/**
 * A row of a table as JSON: integers with all their digits, floats with a point, times as ISO 8601 text; of nested values the keys that are null
 * are left out, as a record of JSON has them.
 * @throws {DataError} for a value that has no such form.
 */
export function jsonOfRow(row: TableRow, file: ResolvedFile): string {
  const fail = failAt(file, { number: row.number, byteOffset: 0 }, 'row')
  return jsonObjectText(
    Object.entries(row.values).map(([name, value]) => [name, jsonText(recordValue(value, fail))]),
  )
}

/** JSON of a value with all that it says of its numbers; what is no number, which JSON has no word for, is null. */
export function jsonText(value: JsonValue): string {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Number) return floatText(value.valueOf())
  if (Array.isArray(value)) return `[${value.map((item) => jsonText(item)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  return jsonObjectText(entries.map(([key, inner]) => [key, jsonText(inner as JsonValue)]))
}

/** Of keys and the JSON of their values, in this order. */
function jsonObjectText(entries: readonly (readonly [string, string])[]): string {
  return `{${entries.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`
}

/** A float that is whole stays one to who reads it. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const text = Object.is(value, -0) ? '-0' : String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}
