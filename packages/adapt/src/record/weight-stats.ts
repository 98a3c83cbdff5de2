import type { SampleRecord, StepRecord } from './step-record.js'

/** How much of the data the weights let through, and how selective they are. */
export interface WeightStats {
  /** Samples with at least one label; the others take no part. */
  readonly numSamples: number
  /** Labels. */
  readonly numTokens: number
  /** Effective data ratio, sum w / n. */
  readonly edr: number
  /** Kish effective sample size, (sum w)^2 / sum w^2, in [1, n]; 0 when no weight is positive. */
  readonly ess: number
  /** ess / n. */
  readonly essRatio: number
  /** sum w_i n_i / sum n_i. */
  readonly tokenEdr: number
  /** (sum w_i n_i)^2 / sum w_i^2 n_i, in tokens. */
  readonly tokenEss: number
  /** tokenEss / sum n_i. */
  readonly tokenEssRatio: number
}

/** Percent points of {@link StepRecord.weightQuantiles} and {@link StepRecord.scoreQuantiles}. */
export const WEIGHT_PERCENTS: readonly number[] = [0, 5, 25, 50, 75, 95, 100]

/**
 * Effective data ratio and effective sample size of gate weights. EDR changes when all weights are scaled;
 * ESS does not, and is the one that says how selective a gate is.
 *
 * @param weights  [n], >= 0.
 * @param tokens   [n], labels per sample. Samples with 0 labels are left out of everything.
 * @returns Zeros, never NaN, where there is nothing to divide by.
 * @throws {RangeError} when the lengths differ.
 */
export function weightStats(weights: ArrayLike<number>, tokens: ArrayLike<number>): WeightStats {
  if (weights.length !== tokens.length) {
    throw new RangeError(
      `expected one token count per weight, received ${weights.length} and ${tokens.length}`,
    )
  }
  let numSamples = 0
  let numTokens = 0
  let sum = 0
  let sumSquares = 0
  let tokenSum = 0
  let tokenSumSquares = 0
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!
    const count = tokens[i]!
    if (count === 0) continue
    numSamples++
    numTokens += count
    sum += weight
    sumSquares += weight * weight
    tokenSum += weight * count
    tokenSumSquares += weight * weight * count
  }
  const ess = ratio(sum * sum, sumSquares)
  const tokenEss = ratio(tokenSum * tokenSum, tokenSumSquares)
  return {
    numSamples,
    numTokens,
    edr: ratio(sum, numSamples),
    ess,
    essRatio: ratio(ess, numSamples),
    tokenEdr: ratio(tokenSum, numTokens),
    tokenEss,
    tokenEssRatio: ratio(tokenEss, numTokens),
  }
}

/** Quantiles with linear interpolation between order statistics; zeros for an empty list. */
export function quantiles(
  values: ArrayLike<number>,
  percents: readonly number[] = WEIGHT_PERCENTS,
): number[] {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return percents.map(() => 0)
  return percents.map((percent) => {
    const position = (percent / 100) * (sorted.length - 1)
    const below = Math.floor(position)
    const low = sorted[below]!
    const high = sorted[Math.min(below + 1, sorted.length - 1)]!
    return low + (position - below) * (high - low)
  })
}

/** The fields of a {@link StepRecord} that follow from the step's samples alone. */
export type StepSampleStats = Pick<
  StepRecord,
  | 'numSamples'
  | 'numTokens'
  | 'weightMean'
  | 'essRatio'
  | 'weightQuantiles'
  | 'scoreMean'
  | 'scoreStd'
  | 'scoreQuantiles'
  | 'weightMeanBySource'
  | 'massBySource'
  | 'uniformMassBySource'
>

/**
 * Summary of one optimiser step over the samples of all ranks and micro-batches.
 *
 * @param options.unit  What the normaliser counts. A source's mass is its share of sum w_i v_i n_i ("token") or of
 *   sum w_i v_i ("sample"), with v the static sample weight; its uniform mass is the share with every w_i 1. Shares are
 *   all 0 when no sample has any weight.
 */
export function summarizeSamples(
  samples: readonly SampleRecord[],
  options: { readonly unit: 'token' | 'sample' },
): StepSampleStats {
  const used = samples.filter((sample) => sample.tokens > 0)
  const weights = Float64Array.from(used, (sample) => sample.weight)
  const stats = weightStats(
    weights,
    Float64Array.from(used, (sample) => sample.tokens),
  )
  const scores = Float64Array.from(used, (sample) => sample.score)
  const { mean: scoreMean, std: scoreStd } = moments(scores)
  const sources = new Map<string, { count: number; weight: number; mass: number; uniform: number }>()
  let total = 0
  let uniformTotal = 0
  for (const sample of used) {
    const uniform = sample.sampleWeight * (options.unit === 'token' ? sample.tokens : 1)
    const mass = sample.weight * uniform
    const entry = sources.get(sample.source) ?? { count: 0, weight: 0, mass: 0, uniform: 0 }
    entry.count++
    entry.weight += sample.weight
    entry.mass += mass
    entry.uniform += uniform
    total += mass
    uniformTotal += uniform
    sources.set(sample.source, entry)
  }
  // Sorted, so that a record does not depend on the order of the samples; fromEntries keeps a source `__proto__`.
  const bySource = [...sources].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    numSamples: stats.numSamples,
    numTokens: stats.numTokens,
    weightMean: stats.edr,
    essRatio: stats.essRatio,
    weightQuantiles: quantiles(weights),
    scoreMean,
    scoreStd,
    scoreQuantiles: quantiles(scores),
    weightMeanBySource: Object.fromEntries(bySource.map(([name, s]) => [name, s.weight / s.count])),
    massBySource: Object.fromEntries(bySource.map(([name, s]) => [name, ratio(s.mass, total)])),
    uniformMassBySource: Object.fromEntries(
      bySource.map(([name, s]) => [name, ratio(s.uniform, uniformTotal)]),
    ),
  }
}

/** Mean and population standard deviation, in two passes; zeros for an empty list. */
export function moments(values: ArrayLike<number>): { readonly mean: number; readonly std: number } {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  const mean = ratio(sum, values.length)
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2
  return { mean, std: Math.sqrt(ratio(squares, values.length)) }
}

function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator
}
