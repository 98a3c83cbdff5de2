import type { ColorName } from './source-colors.js'

/** How the line of a run looks. Colours are for sources, so runs differ in shade and stroke. */
export interface RunStyle {
  readonly color: ColorName
  /** Lengths of stroke and gap in pixels; solid without. */
  readonly dash?: readonly [number, number]
}

const DASHES = [undefined, [7, 4], [2, 3]] as const

/** @param count  Runs of the report: a single one is in ink, else the first, which the others are compared with, is grey. */
export function runStyle(run: number, count: number): RunStyle {
  const dash = DASHES[Math.floor(run / 2) % DASHES.length]
  return {
    color: count > 1 && run % 2 === 0 ? 'grey' : 'ink',
    ...(dash === undefined ? {} : { dash }),
  }
}
