import type { NoiseFloor } from '../statistics/index.js'

/** Rows of text under headings; the same for terminal, Markdown and page. */
export interface TextTable {
  readonly title: string
  /** What must be known to read it. */
  readonly about: string
  readonly columns: readonly { readonly heading: string; readonly isNumeric?: boolean }[]
  readonly rows: readonly (readonly string[])[]
}

/** Stands for a figure that does not exist. */
export const NONE = '-'

/** A column of numbers. */
export const number = (heading: string) => ({ heading, isNumeric: true })

/** The floor in a sentence. */
export function floorText(floor: NoiseFloor | undefined): string {
  if (!floor) return 'Floor: not measured.'
  const spread = Number.isFinite(floor.sd) ? `, sd ${floor.sd.toFixed(5)}` : ''
  return `Floor: ${floor.largest.toFixed(5)} (largest of ${floor.pairs} twin ${floor.pairs === 1 ? 'difference' : 'differences'}${spread}).`
}

/** With a sign, but for what rounds to 0. */
export function signed(value: number, digits = 4): string {
  const text = Math.abs(value).toFixed(digits)
  return /[1-9]/.test(text) ? `${value > 0 ? '+' : '-'}${text}` : text
}

/** A 95 % interval; none for one pair. */
export function interval({ low, high }: { readonly low: number; readonly high: number }): string {
  return Number.isFinite(low) ? `[${signed(low)}, ${signed(high)}]` : NONE
}
