import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { type NumberRange, realNumber, wholeNumber } from './number-ranges.js'

/** One option of a signal or gate: its type and range, its default and its help, said once. */
export interface Option<V> {
  /** The default; a function where it follows from the other options (camelCase, defaults filled in), which the help then says. */
  readonly fallback: V | ((others: Readonly<Record<string, unknown>>) => V)
  readonly help: string
  /** Type and range: what a config is checked with, and what the JSON schema and the help say. */
  readonly schema: z.ZodType<V>
  /** Where it has an effect; absent where it always has. Anything but its default is refused elsewhere. */
  readonly usedWith?: UsedWith
}

/** What other options must be for one to have an effect. */
export interface UsedWith {
  readonly isUsed: (others: Readonly<Record<string, unknown>>) => boolean
  /** As a config says it: `constants: scaled`. */
  readonly condition: string
}

/** The options of a part by name, in camelCase; a config writes them in snake_case. */
// biome-ignore lint/suspicious/noExplicitAny: an option's type is its own
export type OptionTable = Readonly<Record<string, Option<any>>>

/** What a part is given: a value for every option of its table. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never
}

/** A value for every option, in the order of the table; what is missing or undefined gets its default. */
export function fillOptions<T extends OptionTable>(
  table: T,
  given: Readonly<Record<string, unknown>>,
): OptionsOf<T> {
  const names = Object.keys(table)
  const filled: Record<string, unknown> = Object.fromEntries(
    names.map((name) => [name, given[name] ?? table[name]!.fallback]),
  )
  for (const name of names) {
    if (typeof filled[name] === 'function') filled[name] = filled[name](filled)
  }
  return filled as OptionsOf<T>
}

/** The options that have a value of their own though others leave them without effect, by name. */
export function idleOptions(
  table: OptionTable,
  options: Readonly<Record<string, unknown>>,
): readonly { readonly key: string; readonly message: string }[] {
  return Object.entries(table).flatMap(([key, { usedWith, fallback }]) => {
    if (usedWith === undefined || usedWith.isUsed(options)) return []
    const value = options[key]
    const byDefault: unknown = typeof fallback === 'function' ? fallback(options) : fallback
    if (isDeepStrictEqual(value, byDefault)) return []
    const [shown, expected] = [value, byDefault].map((one) => JSON.stringify(one))
    return [
      {
        key,
        message: `expected ${expected}, its default, because it has an effect with ${usedWith.condition} only; received ${shown}`,
      },
    ]
  })
}

/** An option that has an effect where the others fit. */
export function usedWith<V>(condition: string, isUsed: UsedWith['isUsed'], one: Option<V>): Option<V> {
  return { ...one, usedWith: { condition, isUsed } }
}

/** An option of any type that zod can say. */
export function option<V>(schema: z.ZodType<V>, fallback: Option<V>['fallback'], help: string): Option<V> {
  return { schema, fallback, help }
}

/** A finite number in the range. */
export function real(range: NumberRange, fallback: Option<number>['fallback'], help: string): Option<number> {
  return option(realNumber(range), fallback, help)
}

/** A whole number in the range. */
export function whole(
  range: NumberRange,
  fallback: Option<number>['fallback'],
  help: string,
): Option<number> {
  return option(wholeNumber(range), fallback, help)
}

/** A number of optimiser steps. */
export function steps(fallback: Option<number>['fallback'], help: string): Option<number> {
  return whole(STEPS, fallback, help)
}

/** Range of a number of optimiser steps. */
export const STEPS: NumberRange = { min: 1, max: 1_000_000_000 }

/** Scores and what is made of them by addition and multiplication stay far inside float32. */
export const SCORE: NumberRange = { min: -1e6, max: 1e6 }

/** One of several words. */
export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  fallback: Option<T[number]>['fallback'],
  help: string,
): Option<T[number]> {
  const expected = `expected ${values.length === 1 ? '' : 'one of '}${values.map((value) => `"${value}"`).join(', ')}`
  return option(z.enum(values, { error: expected }) as unknown as z.ZodType<T[number]>, fallback, help)
}

/** true or false. */
export function flag(fallback: boolean, help: string): Option<boolean> {
  return option(z.boolean({ error: 'expected true or false' }), fallback, help)
}
