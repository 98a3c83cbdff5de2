/** S samples of a step. */
import { createStream } from '../batch/index.js'
import { defineGate } from '../method/define-method.js'
import type { Gate, MethodEvent, Scores, StepFacts, StepOutcome } from '../method/index.js'
import { oneOf, real } from '../method/option-table.js'
import { type Noise, pickGreedily } from './greedy.js'
import { markPlaces, readInterplay } from './interaction-gate.js'
import { countKept } from './pick-top.js'
import { softmaxShares } from './softmax-shares.js'
import { temperature } from './temperature.js'

/** Tells this noise apart from others with the same seed. */
const STREAM = 37

/** Steps between two reports of how far the first draw was from a uniform one. */
const REPORT_EVERY = 10

/** How {@link pickAtRandom} draws. */
export interface DrawOptions {
  readonly temperature: number
  /** Gumbel noise of each candidate, made anew for every draw: one noise for all of them is right only without interaction. */
  readonly noise: Noise
}

/**
 * Draws one sample after another, each in proportion to what its score is by then:
 *
 *   p_i = softmax_i(s / T) over what is left;   s <- s - J[i*, :]
 *
 * as the argmax of s / T + Gumbel noise, which has the same distribution.
 *
 * @param products_SS  J, row by row, in the unit of the scores.
 * @returns Places in the order in which they are drawn.
 * @see OPUS, arXiv 2602.05400. Deviation: noise keyed by seed, step, draw and sample in the place of a generator on each rank.
 */
export function pickAtRandom(
  score_S: ArrayLike<number>,
  products_SS: ArrayLike<number>,
  count: number,
  options: DrawOptions,
): number[] {
  const { temperature: T, noise } = options
  const over = (values: ArrayLike<number>) => Float64Array.from(values, (value) => value / T)
  return pickGreedily(over(score_S), over(products_SS), count, noise)
}

/**
 * Noise of the candidates of a step, -ln(-ln u): a function of seed, step, number of the draw and sample, however the step is cut.
 * @param index  Dense index of each candidate.
 */
export function keyedGumbel(seed: number, step: number, index: readonly number[]): Noise {
  const drawn = index.map((sample) => ({
    next: createStream([seed, STREAM, step, sample]),
    values: [] as number[],
  }))
  return (draw, place) => {
    const { next, values } = drawn[place]!
    while (values.length <= draw) values.push(-Math.log(-Math.log((next() + 0.5) / 2 ** 32)))
    return values[draw]!
  }
}

/** Mean and standard deviation of scores, dividing by their number. */
function spreadOf(score_S: ArrayLike<number>): { readonly mean: number; readonly deviation: number } {
  const values = Float64Array.from(score_S)
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}

class StochasticGreedyGate implements Gate {
  private seen: Readonly<Record<string, number>> | undefined
  private readonly events: MethodEvent[] = []

  constructor(
    private readonly options: {
      readonly keep: number
      readonly temperature: number
      readonly scale: 'zscore' | 'raw'
    },
  ) {}

  weights(scores: Scores, { seed, step }: StepFacts) {
    const { keep, temperature, scale } = this.options
    const { score_S, products_SS, isKnown } = readInterplay('stochastic-greedy', scores)
    if (!isKnown) return markPlaces(scores, [])
    const { deviation } = spreadOf(score_S)
    // Scores and products keep one unit: only their ratio to the temperature changes.
    const unit = scale === 'zscore' && deviation > 0 ? deviation : 1
    const T = temperature * unit
    const first = softmaxShares(score_S, T)
    this.seen = {
      spread: deviation / T,
      ess: 1 / (first.reduce((sum, share) => sum + share * share, 0) * first.length),
      scoreDeviation: deviation,
    }
    const count = countKept(keep, score_S.length)
    const noise = keyedGumbel(seed, step, scores.index)
    return markPlaces(scores, pickAtRandom(score_S, products_SS, count, { temperature: T, noise }))
  }

  observe({ wasFinite, step }: StepOutcome): void {
    const seen = this.seen
    this.seen = undefined
    if (!wasFinite || seen === undefined || (step - 1) % REPORT_EVERY !== 0) return
    this.events.push({ kind: 'draw', step, fields: seen })
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }
}

/**
 * w = 1 for the samples that {@link pickAtRandom} takes, else 0: max(1, floor(keep S)) of the labelled samples of a step. Every ten steps the event `draw`
 * says how many temperatures wide the scores were spread (`spread`) and the effective share of the candidates in the first draw (`ess`,
 * 1: a uniform draw).
 */
export const stochasticGreedy = defineGate({
  kind: 'stochastic-greedy',
  about: 'draws sample after sample, each in proportion to its worth in view of those already drawn',
  units: ['sample'],
  applies: ['mask'],
  view: 'step',
  interactions: true,
  options: {
    keep: real({ above: 0, max: 1 }, 0.25, 'Share of the candidates that is trained'),
    temperature: { ...temperature, fallback: 0.9 },
    scale: oneOf(
      ['zscore', 'raw'],
      'zscore',
      'zscore: temperatures count standard deviations of the scores of a step; raw: scores as they are',
    ),
  },
  candidates: ({ keep }) => 1 / keep,
  create: (options) => new StochasticGreedyGate(options),
})
