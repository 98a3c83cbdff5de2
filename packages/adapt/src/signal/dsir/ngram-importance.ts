/** P texts, K targets, F buckets. */
import type { TextSource } from '../bm25/score-texts.js'
import { GramScanner } from './gram-scanner.js'

/** What texts are counted by, and how the targets are smoothed. */
export interface NgramOptions {
  /** Longest n-grams, in tokens. */
  readonly ngrams: number
  /** F. */
  readonly buckets: number
  /** Added to the count of every bucket in each target. */
  readonly laplace: number
}

/** Keeps the logarithm of a bucket that never occurs finite. */
const LEAST_PROBABILITY = 1e-8
const PROGRESS_EVERY = 8192

/** How many n-grams of some texts fall into each bucket: float64 [F]; and how many tokens the texts have. */
export function countGrams(scanner: GramScanner, texts: readonly string[], buckets: number) {
  const count_F = new Float64Array(buckets)
  let numTokens = 0
  for (const text of texts) numTokens += addGrams(scanner, text, count_F)
  return { count_F, numTokens }
}

/** @returns How many tokens the text has. */
function addGrams(scanner: GramScanner, text: string, count_F: Float64Array): number {
  const { numTokens, numGrams } = scanner.scan(text)
  for (let i = 0; i < numGrams; i++) count_F[scanner.bucket[i]!]!++
  return numTokens
}

/** ln(p_target + 1e-8) - ln(p_raw + 1e-8) of every bucket, with `laplace` added to the target's counts: float64 [F]. */
export function logRatios(target_F: Float64Array, raw_F: Float64Array, laplace: number): Float64Array {
  const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0)
  const numTarget = sum(target_F) + laplace * target_F.length
  const numRaw = sum(raw_F)
  return target_F.map(
    (count, f) =>
      Math.log((count + laplace) / numTarget + LEAST_PROBABILITY) -
      Math.log(raw_F[f]! / numRaw + LEAST_PROBABILITY),
  )
}

/** What {@link weighByNgrams} finds. */
export interface NgramImportance {
  /** float64 [P, K]: log p_target(x) - log p_raw(x) under bags of hashed n-grams. */
  readonly logWeight_PK: Float64Array
  /** Tokens of each text, [P]. */
  readonly length_P: Uint32Array
  /** Tokens of each target, [K]. */
  readonly targetTokens_K: Float64Array
  /** Share of the pool's n-grams that fall into buckets which no target has. */
  readonly unseen: number
}

/**
 * Log importance weights of texts for targets: of every text the sum over its n-grams of {@link logRatios}. Texts are read twice, one after another,
 * and not kept; the raw counts are those of all of them. Texts without a single n-gram, in the pool or in a target, weigh 0.
 *
 * @param targets  Texts of each target, [K].
 * @param progress  Told now and then how many of how many texts were read, over both passes.
 */
export async function weighByNgrams(
  texts: TextSource,
  numTexts: number,
  targets: readonly (readonly string[])[],
  { ngrams, buckets, laplace }: NgramOptions,
  progress?: (done: number, total: number) => void,
): Promise<NgramImportance> {
  const scanner = new GramScanner(ngrams, buckets)
  let done = 0
  const each = async (visit: (index: number, text: string) => void) => {
    for await (const { index, text } of texts()) {
      visit(index, text)
      if (++done % PROGRESS_EVERY === 0) progress?.(done, 2 * numTexts)
    }
  }
  const raw_F = new Float64Array(buckets)
  const length_P = new Uint32Array(numTexts)
  await each((index, text) => {
    length_P[index] = addGrams(scanner, text, raw_F)
  })
  const counted = targets.map((of) => countGrams(scanner, of, buckets))
  const ratios = counted.map(({ count_F }) => logRatios(count_F, raw_F, laplace))
  const K = targets.length
  const logWeight_PK = new Float64Array(numTexts * K)
  await each((index, text) => {
    const { numGrams } = scanner.scan(text)
    for (const [k, ratio_F] of ratios.entries()) {
      let sum = 0
      for (let i = 0; i < numGrams; i++) sum += ratio_F[scanner.bucket[i]!]!
      logWeight_PK[index * K + k] = sum
    }
  })
  progress?.(2 * numTexts, 2 * numTexts)
  const numRaw = raw_F.reduce((a, b) => a + b, 0)
  const unseen = raw_F.reduce(
    (sum, n, f) => (counted.some(({ count_F }) => count_F[f]! > 0) ? sum : sum + n),
    0,
  )
  return {
    logWeight_PK,
    length_P,
    targetTokens_K: Float64Array.from(counted, ({ numTokens }) => numTokens),
    unseen: unseen / Math.max(1, numRaw),
  }
}
