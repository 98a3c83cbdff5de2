import { z } from 'zod'

/** One option of a signal or gate: its type and range, its default and its help, said once. */
export interface Option<V> {
  /** The default; a function where it follows from the other options (camelCase, defaults filled in). */
  readonly fallback: V | ((others: Readonly<Record<string, unknown>>) => V)
  readonly help: string
  /** Type and range: what a config is checked with, and what the JSON schema and the help say. */
  readonly schema: z.ZodType<V>
}

/** The options of a part by name, in camelCase; a config writes them in snake_case. */
// biome-ignore lint/suspicious/noExplicitAny: an option's type is its own
export type OptionTable = Readonly<Record<string, Option<any>>>

/** What a part is given: a value for every option of its table. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never
}

/** Bounds of a number; absent ones do not bind. */
export interface Range {
  readonly min?: number
  readonly above?: number
  readonly max?: number
  readonly below?: number
}

/** An option of any type that zod can say. */
export function option<V>(schema: z.ZodType<V>, fallback: Option<V>['fallback'], help: string): Option<V> {
  return { schema, fallback, help }
}

/** One of several words. */
export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  fallback: T[number],
  help: string,
): Option<T[number]> {
  return option(z.enum(values) as unknown as z.ZodType<T[number]>, fallback, help)
}

/** true or false. */
export function flag(fallback: boolean, help: string): Option<boolean> {
  return option(z.boolean(), fallback, help)
}
