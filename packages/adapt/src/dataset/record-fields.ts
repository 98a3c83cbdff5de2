import { plainJson } from './json-value.js'
import { printable } from './printable.js'
import { isStaticWeight, STATIC_WEIGHT_RANGE } from './static-weight.js'

/** Throws a DataError placed at a record. */
export type Fail = (code: string, problem: string, cause?: unknown) => never

/** A record as it was parsed. */
export type JsonRecord = Readonly<Record<string, unknown>>

/** The value of a record's own key; null counts as absent, because tables of several forms have nulls for the others. */
export function fieldOf(record: JsonRecord, key: string): unknown {
  if (record instanceof Map) return record.get(key) ?? undefined
  return Object.hasOwn(record, key) ? (record[key] ?? undefined) : undefined
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Number)
}

/** A text field that must be there. @throws BAD_FIELD */
export function stringOf(record: JsonRecord, key: string, fail: Fail): string {
  const value = record[key]
  if (typeof value !== 'string') {
    fail('BAD_FIELD', `"${printable(key)}": expected a string, received ${show(value)}`)
  }
  return value as string
}

/** A text field that may be missing or null; then undefined. @throws BAD_FIELD */
export function optionalStringOf(record: JsonRecord, key: string, fail: Fail): string | undefined {
  return fieldOf(record, key) === undefined ? undefined : stringOf(record, key, fail)
}

/** @param written  The id as it stands in the file when it is a number. @throws BAD_FIELD */
export function idOf(record: JsonRecord, written: string | undefined, fail: Fail): string | undefined {
  const id = fieldOf(record, 'id')
  if (id === undefined) {
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

/** The record's `source`, else its `meta.source`. @throws BAD_FIELD */
export function sourceOf(record: JsonRecord, fail: Fail): string | undefined {
  const meta = fieldOf(record, 'meta')
  const source = fieldOf(record, 'source') ?? (isObject(meta) ? fieldOf(meta, 'source') : undefined)
  if (source === undefined) {
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

/** The record's static weight. @throws BAD_FIELD */
export function weightOf(record: JsonRecord, fail: Fail): number {
  const weight = fieldOf(record, 'weight') ?? 1
  if (!isStaticWeight(weight)) fail('BAD_FIELD', `"weight": ${STATIC_WEIGHT_RANGE}, received ${show(weight)}`)
  return weight as number
}

/** A value for an error message. */
export function show(value: unknown): string {
  return printable(typeof value === 'number' ? String(value) : (plainJson(value) ?? 'nothing'), 60)
}

/** Names of keys for an error message. */
export function keyList(keys: readonly string[]): string {
  const shown = keys.slice(0, 12).map((k) => `"${printable(k, 40)}"`)
  return keys.length === 0 ? '(none)' : shown.join(', ') + (keys.length > 12 ? ', ...' : '')
}
