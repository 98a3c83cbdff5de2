import { isDeepStrictEqual } from 'node:util'
import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import { MAX_SIZE } from './model-config.js'

/** A JSON object of a config.json. */
export type Json = Readonly<Record<string, unknown>>

/** Whether a key says anything: neither absent nor null. */
export const isSet = (value: unknown): boolean => value !== undefined && value !== null

const shown = (value: unknown): string => printable(JSON.stringify(value) ?? String(value), 120)

/** A value that nothing here computes. @throws {ConfigError} UNSUPPORTED_MODEL, always. */
export function refuse(where: string, key: string, value: unknown): never {
  throw new ConfigError(
    'UNSUPPORTED_MODEL',
    `${where}: ${printable(key, 80)} ${shown(value)} is not supported`,
  )
}

function bad(where: string, key: string, expected: string, value: unknown): never {
  throw new ConfigError(
    'BAD_MODEL_CONFIG',
    `${where}: ${key}: expected ${expected}, received ${shown(value)}`,
  )
}

/** @throws {ConfigError} BAD_MODEL_CONFIG for anything but an integer from 1 to `MAX_SIZE`. */
export function readSize(json: Json, key: string, where: string, fallback?: number): number {
  const value = json[key] ?? fallback
  const isSize = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SIZE
  return isSize ? value : bad(where, key, `an integer from 1 to ${MAX_SIZE}`, value)
}

/** @throws {ConfigError} BAD_MODEL_CONFIG for anything but a finite number above 0. */
export function readPositive(json: Json, key: string, where: string, fallback?: number): number {
  const value = json[key] ?? fallback
  const isPositive = typeof value === 'number' && Number.isFinite(value) && value > 0
  return isPositive ? value : bad(where, key, 'a number > 0', value)
}

/** A switch that is off where it is absent or null. @throws {ConfigError} BAD_MODEL_CONFIG for `"true"` or 1. */
export function readFlag(json: Json, key: string, where: string): boolean {
  const value = json[key] ?? false
  return typeof value === 'boolean' ? value : bad(where, key, 'true or false', value)
}

/**
 * What several places say of one thing; those that say nothing do not count.
 * @param places  Pairs of a name for messages and a value.
 * @throws {ConfigError} BAD_MODEL_CONFIG with both values when two places differ.
 */
export function agree(where: string, places: readonly (readonly [string, unknown])[]): unknown {
  const given = places.filter(([, value]) => isSet(value))
  const other = given.find(([, value]) => !isDeepStrictEqual(value, given[0]![1]))
  if (other === undefined) return given[0]?.[1]
  disagree(where, given[0]!, other)
}

/** @throws {ConfigError} BAD_MODEL_CONFIG with both values, always. */
export function disagree(
  where: string,
  one: readonly [string, unknown],
  other: readonly [string, unknown],
): never {
  const said = [one, other].map(([key, value]) => `${key} ${shown(value)}`)
  throw new ConfigError(
    'BAD_MODEL_CONFIG',
    `${where}: ${said.join(' and ')} disagree, and programs differ in which one they take; keep the right one`,
  )
}
