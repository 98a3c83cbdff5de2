import { isUtf8 } from 'node:buffer'
import type { SchemaElement } from 'hyparquet'
import { parseFloat16 } from 'hyparquet/src/convert.js'
import type { JsonValue } from './json-value.js'
import { BadValue, ParquetUnsupported } from './parquet-faults.js'
import { readJsonField } from './read-json.js'

const INVALID_TEXT = new BadValue('BAD_UTF8', 'expected UTF-8, a text of the row is not; convert it')
const MS_PER_DAY = 86_400_000

/** What the text of a JSON column says; its nulls are values. */
export class JsonCell {
  constructor(readonly value: JsonValue) {}
}

/**
 * How a value of a column becomes one of a record: texts, numbers, integers as bigint, booleans; times as ISO 8601 text; JSON as a `JsonCell`.
 * Undefined where the stored value is that already.
 * @throws {ParquetUnsupported} for a type that has no such form.
 */
export function converterOf(element: SchemaElement): ((value: unknown) => unknown) | undefined {
  const { type, converted_type: old, logical_type: logical } = element
  const kind = logical?.type
  if (old === 'DECIMAL' || kind === 'DECIMAL') {
    const scale = element.scale ?? (logical as { readonly scale?: number } | undefined)?.scale ?? 0
    return (value) => decimal(value, scale)
  }
  if (old === 'BSON' || kind === 'BSON' || old === 'INTERVAL') {
    throw new ParquetUnsupported(`the column ${element.name} of type ${old ?? kind}`)
  }
  if (type === 'INT96') return (value) => timeOf(julianNanos(value as bigint), 1_000_000_000n, false)
  if (old === 'DATE' || kind === 'DATE') return (value) => dateOf(BigInt(value as number))
  if (kind === 'TIMESTAMP' || old === 'TIMESTAMP_MILLIS' || old === 'TIMESTAMP_MICROS') {
    const perSecond = unitsPerSecond(logical, old === 'TIMESTAMP_MICROS' ? 'MICROS' : 'MILLIS')
    const isUtc = (logical as { readonly isAdjustedToUTC?: boolean } | undefined)?.isAdjustedToUTC ?? true
    return (value) => timeOf(value as bigint, perSecond, isUtc)
  }
  if (kind === 'TIME' || old === 'TIME_MILLIS' || old === 'TIME_MICROS') {
    const perSecond = unitsPerSecond(logical, old === 'TIME_MICROS' ? 'MICROS' : 'MILLIS')
    return (value) => clockOf(BigInt(value as number | bigint), perSecond)
  }
  const isUnsigned =
    (old?.startsWith('UINT') ?? false) || (logical?.type === 'INTEGER' && logical.isSigned === false)
  if (type === 'INT32')
    return isUnsigned ? (value) => BigInt((value as number) >>> 0) : (value) => BigInt(value as number)
  if (type === 'INT64') return isUnsigned ? (value) => BigInt.asUintN(64, value as bigint) : undefined
  if (type === 'BYTE_ARRAY') return old === 'JSON' || kind === 'JSON' ? jsonOf : textOf
  if (type === 'FIXED_LEN_BYTE_ARRAY') {
    if (kind === 'FLOAT16') return (value) => parseFloat16(value as Uint8Array)
    if (kind === 'UUID') return uuidOf
  }
  return undefined
}

/** Strict UTF-8. A file of another encoding has bad rows, it is not damaged. */
function textOf(value: unknown): string | BadValue {
  const { buffer, byteOffset, length } = value as Uint8Array
  const bytes = Buffer.from(buffer, byteOffset, length)
  return isUtf8(bytes) ? bytes.toString('utf8') : INVALID_TEXT
}

function jsonOf(value: unknown): unknown {
  const text = textOf(value)
  if (typeof text !== 'string') return text
  let bad: BadValue | undefined
  try {
    const value = readJsonField(text, (code, problem) => {
      bad = new BadValue(code, `in a column of JSON: ${problem}`)
      throw bad
    })
    return new JsonCell(value)
  } catch (error) {
    if (bad === undefined) throw error
    return bad
  }
}

function decimal(value: unknown, scale: number): unknown {
  const whole = value instanceof Uint8Array ? signedInteger(value) : BigInt(value as number | bigint)
  if (scale === 0) return whole
  const digits = String(whole < 0n ? -whole : whole).padStart(scale + 1, '0')
  const text = `${whole < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  // Of 15 digits a double keeps every one.
  if (digits.replace(/^0+/, '').length <= 15) return Number(text)
  return new BadValue(
    'BAD_FIELD',
    `expected a decimal of at most 15 digits, received ${text}; cast it to text or double`,
  )
}

function signedInteger(bytes: Uint8Array): bigint {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
  return hex === '' ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`))
}

function unitsPerSecond(logical: SchemaElement['logical_type'], otherwise: string): bigint {
  const unit = (logical as { readonly unit?: string } | undefined)?.unit ?? otherwise
  return unit === 'NANOS' ? 1_000_000_000n : unit === 'MICROS' ? 1_000_000n : 1000n
}

/** Nanoseconds since 1970 of a Julian day (high 32 bits) and its nanoseconds. */
function julianNanos(value: bigint): bigint {
  const days = (value >> 64n) - 2_440_588n
  return days * 86_400_000_000_000n + BigInt.asUintN(64, value)
}

function dateOf(days: bigint): string | BadValue {
  const date = new Date(Number(days) * MS_PER_DAY)
  return Number.isNaN(date.getTime()) ? badTime(days) : date.toISOString().slice(0, -14)
}

function timeOf(value: bigint, perSecond: bigint, isUtc: boolean): string | BadValue {
  const inDay = 86_400n * perSecond
  const clock = ((value % inDay) + inDay) % inDay
  const date = dateOf((value - clock) / inDay)
  return typeof date === 'string' ? `${date}T${clockOf(clock, perSecond)}${isUtc ? 'Z' : ''}` : date
}

/** `hh:mm:ss`, with as many digits behind it as are not zero, in threes. */
function clockOf(value: bigint, perSecond: bigint): string {
  const two = (part: bigint) => String(part).padStart(2, '0')
  const seconds = value / perSecond
  const rest = String(value % perSecond).padStart(String(perSecond).length - 1, '0')
  const fraction = rest.replace(/(000)+$/, '')
  const clock = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(two).join(':')
  return fraction === '' ? clock : `${clock}.${fraction}`
}

function badTime(value: bigint): BadValue {
  return new BadValue(
    'BAD_FIELD',
    `expected a date between the years -271821 and 275760, received day ${value}`,
  )
}

function uuidOf(value: unknown): string {
  const hex = Buffer.from(value as Uint8Array).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
