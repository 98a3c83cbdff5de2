import type { StepRecord } from '../record/index.js'
import type { HeatMap } from './chart-spec.js'
import { SampleSums, type SampleWeight } from './sample-sums.js'
import { ScoreDensity } from './score-density.js'
import { ShareSums, type SourceShare } from './source-shares.js'

/** The columns of a part of the ledger that a report reads; one row per sample and step, steps ascending. */
export interface LedgerRows {
  readonly rows: number
  readonly step: ArrayLike<number>
  readonly sample: ArrayLike<number>
  readonly source: readonly string[]
  readonly score: ArrayLike<number>
  readonly weight: ArrayLike<number>
  readonly loss: ArrayLike<number>
  readonly tokens: ArrayLike<number>
}

/** What the samples of one source got over the last part of a run. */
export interface SourceWeight {
  readonly source: string
  /** Rows: a sample counts each time it is seen. */
  readonly rows: number
  readonly weight: number
  /** Of the objective, mean over the steps. */
  readonly share: SourceShare
  /** Standard deviation over its samples of the weight divided by the mean weight of the step. */
  readonly relativeStd: number
  readonly score: number
  readonly loss: number
}

/** What a ledger says of the end of a run, and of its scores over all of it. */
export interface LedgerSummary {
  /** Steps of the last part of the run, both included: all figures but the heat map are of it. */
  readonly firstStep: number
  readonly lastStep: number
  /** Different samples seen in it. */
  readonly numSamples: number
  /** Most rows first. */
  readonly sources: readonly SourceWeight[]
  /**
   * Share of the variance of the relative weights that lies between the means of the sources, in [0, 1]; NaN when
   * they do not vary. At 1 a weight says no more than where a sample comes from.
   */
  readonly betweenSources: number
  /** The same for the first part of the run, of the same length; absent where it has no rows. */
  readonly betweenSourcesEarly?: number
  /** Highest relative weight first; empty when the weights do not vary. No sample is in both lists. */
  readonly upWeighted: readonly SampleWeight[]
  /** Lowest first. */
  readonly downWeighted: readonly SampleWeight[]
  /** Scores over the whole run. */
  readonly density?: HeatMap
}

/** How much of a run is summed up, and how much of that is listed. */
export interface LedgerSummaryOptions {
  /** Samples in each of the two lists. Default 15. */
  readonly top?: number
  /** Share of the run, at its end, that the figures are of. Default 1/4. */
  readonly lastPart?: number
}

/**
 * Reads a ledger once, in memory that grows with the number of samples and not of steps. Rows without labels, of
 * steps that `steps` does not hold, or with a weight that is not finite take no part.
 *
 * @param steps  Records of the run, ascending.
 * @returns null when no row of the last part is usable.
 */
export async function summarizeLedger(
  parts: AsyncIterable<LedgerRows> | Iterable<LedgerRows>,
  steps: readonly StepRecord[],
  { top = 15, lastPart = 0.25 }: LedgerSummaryOptions = {},
): Promise<LedgerSummary | null> {
  const lastStep = steps.at(-1)?.step ?? 0
  const firstStep = lastStep - Math.max(1, Math.round(lastPart * lastStep)) + 1
  const meanWeight = new Map(steps.map((step) => [step.step, step.weightMean]))
  const samples = new SampleSums()
  const sources = new Map<string, SourceSums>()
  const early = new Map<string, SourceSums>()
  const lastEarlyStep = lastStep - firstStep + 1
  const density = ScoreDensity.over(steps)
  for await (const part of parts) {
    for (let row = 0; row < part.rows; row++) {
      const step = part.step[row]!
      const relative = part.weight[row]! / meanWeight.get(step)!
      if (part.tokens[row] === 0 || !Number.isFinite(relative)) continue
      const seen = {
        relative,
        weight: part.weight[row]!,
        score: part.score[row]!,
        loss: part.loss[row]!,
      }
      density?.add(step, seen.score)
      samples.count(part.sample[row]!)
      if (step <= lastEarlyStep && lastEarlyStep < firstStep) addTo(early, part.source[row]!, seen)
      if (step < firstStep) continue
      samples.add(part.sample[row]!, seen)
      addTo(sources, part.source[row]!, seen)
    }
  }
  if (sources.size === 0) return null
  const betweenSources = betweenShare([...sources.values()])
  const varies = !Number.isNaN(betweenSources)
  const [upWeighted, downWeighted] = varies ? samples.extremes(top) : [[], []]
  const heat = density?.finish()
  const shares = new ShareSums()
  for (const step of steps) if (step.step >= firstStep) shares.add(step)
  const means = shares.means()
  return {
    firstStep,
    lastStep,
    numSamples: samples.numSamples,
    sources: [...sources]
      .map(([name, sums]) => sums.finish(name, means.get(name)))
      .sort((a, b) => b.rows - a.rows || (a.source < b.source ? -1 : 1)),
    betweenSources,
    ...(early.size === 0 ? {} : { betweenSourcesEarly: betweenShare([...early.values()]) }),
    upWeighted,
    downWeighted,
    ...(heat === undefined ? {} : { density: heat }),
  }
}

interface Seen {
  readonly relative: number
  readonly weight: number
  readonly score: number
  readonly loss: number
}

class SourceSums {
  rows = 0
  /** Running mean and sum of squared deviations (Welford): millions of rows may differ little. */
  mean = 0
  squares = 0
  #weight = 0
  #score = 0
  #loss = 0

  add({ relative, weight, score, loss }: Seen): void {
    this.rows++
    const distance = relative - this.mean
    this.mean += distance / this.rows
    this.squares += distance * (relative - this.mean)
    this.#weight += weight
    this.#score += score
    this.#loss += loss
  }

  finish(source: string, share: SourceShare = { mass: Number.NaN, uniform: Number.NaN }): SourceWeight {
    return {
      source,
      rows: this.rows,
      weight: this.#weight / this.rows,
      share,
      relativeStd: Math.sqrt(this.squares / this.rows),
      score: this.#score / this.rows,
      loss: this.#loss / this.rows,
    }
  }
}

function addTo(sources: Map<string, SourceSums>, source: string, seen: Seen): void {
  const sums = sources.get(source) ?? new SourceSums()
  sums.add(seen)
  sources.set(source, sums)
}

/** Variance of the sources' means around the common mean as a share of all of it; NaN when nothing varies. */
function betweenShare(sources: readonly SourceSums[]): number {
  const rows = sources.reduce((sum, source) => sum + source.rows, 0)
  const mean = sources.reduce((sum, source) => sum + source.rows * source.mean, 0) / rows
  const between = sources.reduce((sum, source) => sum + source.rows * (source.mean - mean) ** 2, 0) / rows
  const within = sources.reduce((sum, source) => sum + source.squares, 0) / rows
  return between + within > 1e-12 ? between / (between + within) : Number.NaN
}
