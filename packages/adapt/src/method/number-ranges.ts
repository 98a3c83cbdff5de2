import { z } from 'zod'

/** Bounds of a number; `above` and `below` are exclusive, `min` and `max` inclusive. */
export interface NumberRange {
  readonly min?: number
  readonly above?: number
  readonly max?: number
  readonly below?: number
}

/** A finite number in the range; every failure says the whole range, e.g. `expected a number in [0, 1)`. */
export function realNumber(range: NumberRange = {}) {
  return bounded(z.number({ error: rangeText('a number', range) }), range, rangeText('a number', range))
}

/** A whole number within JavaScript's exact integers and the range. */
export function wholeNumber(range: NumberRange = {}) {
  const text = rangeText('a whole number', range)
  return bounded(z.int({ error: text }), range, text)
}

function bounded<T extends z.ZodNumber>(base: T, range: NumberRange, error: string): T {
  let schema: z.ZodNumber = base
  if (range.min !== undefined) schema = schema.gte(range.min, { error })
  if (range.above !== undefined) schema = schema.gt(range.above, { error })
  if (range.max !== undefined) schema = schema.lte(range.max, { error })
  if (range.below !== undefined) schema = schema.lt(range.below, { error })
  return schema as T
}

function rangeText(noun: string, range: NumberRange): string {
  const lower = range.min ?? range.above
  const upper = range.max ?? range.below
  if (lower !== undefined && upper !== undefined) {
    const open = range.min === undefined ? '(' : '['
    const close = range.max === undefined ? ')' : ']'
    return `expected ${noun} in ${open}${lower}, ${upper}${close}`
  }
  if (lower !== undefined) return `expected ${noun} ${range.min === undefined ? '>' : '>='} ${lower}`
  if (upper !== undefined) return `expected ${noun} ${range.max === undefined ? '<' : '<='} ${upper}`
  return `expected ${noun === 'a number' ? 'a finite number' : noun}`
}
