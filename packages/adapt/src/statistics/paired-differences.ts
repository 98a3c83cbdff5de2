import { detectableEffect, studentTQuantile } from './student-t.js'

/** Differences of pairs (one a seed) and what follows from them. Figures that need two pairs are NaN for one. */
export interface PairedSummary {
  readonly differences: readonly number[]
  readonly mean: number
  /** Sample standard deviation (n - 1). */
  readonly sd: number
  /** 95 % interval of the mean by Student's t. */
  readonly low: number
  readonly high: number
  /** Pairs below 0. */
  readonly below: number
  /** Two-sided p of the sign-flip permutation test; NaN above {@link MAX_FLIPPED} pairs. */
  readonly signFlipP: number
  /** The mean difference that a study like this one finds with 80 % power, in the unit of the differences. */
  readonly detectable: number
}

/** Most pairs whose signs are flipped in every way: a million ways. */
export const MAX_FLIPPED = 20

/** @param differences One number a pair; must be finite. */
export function summarizePairs(differences: readonly number[]): PairedSummary {
  const n = differences.length
  const mean = differences.reduce((sum, value) => sum + value, 0) / n
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const sd = n < 2 ? Number.NaN : Math.sqrt(squares / (n - 1))
  const margin = n < 2 ? Number.NaN : (studentTQuantile(0.975, n - 1) * sd) / Math.sqrt(n)
  return {
    differences,
    mean,
    sd,
    low: mean - margin,
    high: mean + margin,
    below: differences.filter((value) => value < 0).length,
    signFlipP: n < 2 ? Number.NaN : signFlipP(differences),
    detectable: n < 2 ? Number.NaN : detectableEffect(n) * sd,
  }
}

/**
 * Share of all 2^n ways to flip the signs whose sum is at least as far from 0 as the one observed. Exact; the
 * smallest value that n pairs can give is 2 / 2^n. NaN for no pair and above {@link MAX_FLIPPED}.
 */
export function signFlipP(differences: readonly number[]): number {
  const n = differences.length
  if (n === 0 || n > MAX_FLIPPED) return Number.NaN
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0))
  // Sums of the same numbers in another order may differ in the last bits.
  const slack = 1e-12 * differences.reduce((sum, value) => sum + Math.abs(value), 0)
  let extreme = 0
  for (let signs = 0; signs < 2 ** n; signs++) {
    let sum = 0
    for (let i = 0; i < n; i++) sum += (signs >> i) & 1 ? -differences[i]! : differences[i]!
    if (Math.abs(sum) >= observed - slack) extreme++
  }
  return extreme / 2 ** n
}

/** What the twin runs say differences mean nothing. */
export interface NoiseFloor {
  /** Largest |difference| of a twin run. */
  readonly largest: number
  /** Of the twin's differences; NaN for one pair. */
  readonly sd: number
  readonly pairs: number
}

/** The floor that a twin's differences set. */
export function noiseFloor(twin: PairedSummary): NoiseFloor {
  return {
    largest: Math.max(...twin.differences.map(Math.abs)),
    sd: twin.sd,
    pairs: twin.differences.length,
  }
}

/** What may be said of a difference; see {@link judge}. */
export type Verdict =
  | 'one seed: no conclusion'
  | 'below the floor'
  | 'interval includes 0'
  | 'lower: interval excludes 0'
  | 'higher: interval excludes 0'

/** In words what may be said of a difference. Never more than "below the floor" for a mean that twins reach too. */
export function judge(summary: PairedSummary, floor: NoiseFloor | undefined): Verdict {
  if (summary.differences.length < 2) return 'one seed: no conclusion'
  if (floor !== undefined && Math.abs(summary.mean) <= floor.largest) return 'below the floor'
  if (!(summary.low > 0 || summary.high < 0)) return 'interval includes 0'
  return summary.mean < 0 ? 'lower: interval excludes 0' : 'higher: interval excludes 0'
}
