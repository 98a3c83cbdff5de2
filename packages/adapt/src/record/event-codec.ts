import { crc32 } from '../dataset/crc32.js'
import { NUMERIC_PATHS, type RunEvent } from './run-event.js'

const CRC_TAIL = /,"crc":"([0-9a-f]{8})"\}$/
const CRC_TAIL_LENGTH = ',"crc":"00000000"}'.length
const NON_FINITE: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * One event as one line of JSON, newline included. Non-finite numbers become the strings "NaN", "Infinity" and
 * "-Infinity", -0 stays -0, and the last key `crc` holds the CRC-32 (8 hex digits) of the UTF-8 bytes of the
 * same line without that key and without the newline.
 *
 * @throws {TypeError} for a value JSON cannot hold, or an event that brings its own `crc`.
 */
export function encodeEvent(event: RunEvent): Uint8Array {
  if (Object.hasOwn(event, 'crc')) throw new TypeError('an event must not have a key named crc')
  const body = toJson(event)
  const crc = crc32(Buffer.from(body)).toString(16).padStart(8, '0')
  return Buffer.from(`${body.slice(0, -1)},"crc":"${crc}"}\n`)
}

/**
 * Reads one line back (without its newline).
 *
 * @returns The event, or `null` when the line is not whole: bad UTF-8, no CRC, or another CRC than its bytes have.
 */
export function decodeEvent(line: Uint8Array): RunEvent | null {
  if (line.length <= CRC_TAIL_LENGTH) return null
  const tail = CRC_TAIL.exec(Buffer.from(line.subarray(-CRC_TAIL_LENGTH)).toString('latin1'))
  if (tail === null) return null
  const body = Buffer.concat([line.subarray(0, -CRC_TAIL_LENGTH), Buffer.from('}')])
  if (crc32(body) !== Number.parseInt(tail[1]!, 16)) return null
  let value: unknown
  try {
    value = JSON.parse(strictUtf8.decode(body))
  } catch {
    return null
  }
  if (!isObject(value) || typeof value.type !== 'string') return null
  for (const path of NUMERIC_PATHS[value.type] ?? ['step', 'time']) restoreNumbers(value, path.split('.'))
  return value as unknown as RunEvent
}

/** `JSON.stringify` would write non-finite numbers as null and -0 as 0. */
function toJson(value: unknown): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return `"${value}"`
    return Object.is(value, -0) ? '-0' : String(value)
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`
  if (isObject(value)) {
    const pairs = Object.entries(value).filter(([, field]) => field !== undefined)
    return `{${pairs.map(([key, field]) => `${JSON.stringify(key)}:${toJson(field)}`).join(',')}}`
  }
  throw new TypeError(`an event can hold JSON values only, received ${typeof value}`)
}

function restoreNumbers(container: unknown, path: readonly string[]): void {
  if (!isObject(container)) return
  const [head, ...rest] = path
  for (const key of head === '*' ? Object.keys(container) : [head!]) {
    if (!Object.hasOwn(container, key)) continue
    if (rest.length > 0) restoreNumbers(container[key], rest)
    else if (NON_FINITE.has(container[key])) {
      // Assigning would call a setter when a source is named `__proto__`.
      Object.defineProperty(container, key, { value: NON_FINITE.get(container[key]) })
    }
  }
}

/** Arrays included. */
function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
