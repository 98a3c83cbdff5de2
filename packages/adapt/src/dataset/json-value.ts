/**
 * A value of a record with all that JSON and Parquet say of it, for templates that write it again. Unlike what
 * `JSON.parse` gives:
 *
 * - an integer above 2^53 is a `bigint`;
 * - a float whose value is an integer, and one that is infinite or no number, is a boxed `Number` (a plain one with a
 *   fraction is a float, without one an integer);
 * - an object with a key of digits is a `Map` in the order of the file, because an object would move that key.
 *
 * All of these cross threads as they are.
 */
export type JsonValue =
  | null
  | boolean
  | string
  | number
  | bigint
  // biome-ignore lint/complexity/noBannedTypes: the box tells a float from an integer.
  | Number
  | readonly JsonValue[]
  | ReadonlyMap<string, JsonValue>
  | { readonly [key: string]: JsonValue }

/** A float as a `JsonValue`. */
export function jsonFloat(value: number): JsonValue {
  return Number.isInteger(value) || !Number.isFinite(value) ? (Object(value) as JsonValue) : value
}

/** An object as a `JsonValue`: a `Map` where a key of digits would move. */
export function jsonObject(entries: ReadonlyMap<string, JsonValue>): JsonValue {
  for (const key of entries.keys()) if (/^\d+$/.test(key)) return entries
  return Object.fromEntries(entries)
}

/** An integer as a `JsonValue`. */
export function jsonInteger(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** All texts in a value, keys included, one after another. */
export function textsOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null) return ''
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  return entries.map(([key, inner]) => `${key} ${textsOf(inner)}`).join(' ')
}

/** A value as plain JSON, rounded and reordered where that loses something: for messages. */
export function plainJson(value: unknown): string | undefined {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return Number(inner)
    return inner instanceof Map ? Object.fromEntries(inner) : inner
  })
}
