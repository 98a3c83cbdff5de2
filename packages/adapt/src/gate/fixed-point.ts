/** S samples of a step. */

import { defineGate } from '../method/define-method.js'
import type { Gate, MethodEvent, Scores, StepOutcome } from '../method/index.js'
import { real, whole } from '../method/option-table.js'
import { readInterplay, weightsBeside } from './interaction-gate.js'
import { softmaxShares } from './softmax-shares.js'
import { temperature } from './temperature.js'

/** Steps between two reports of how near the iteration came to a fixed point. */
const REPORT_EVERY = 10

/** Constants of {@link fixedPointWeights}. */
export interface FixedPointOptions {
  /** How much what is alike shares its weight; 0: a softmax of the scores. */
  readonly beta: number
  readonly temperature: number
  readonly iterations: number
  /** rho in (0, 1]: share of the new weights in an iteration. */
  readonly damping: number
}

/** Weights, and the largest change of one of them in the last iteration: 0 at the fixed point. */
export interface FixedPoint {
  readonly weight_S: Float64Array
  readonly change: number
}

/**
 * Weights on the simplex that value what is worth much and unlike the rest: the iteration towards the maximum of
 * s'w - (beta / 2) w'Sw + tau H(w),
 *
 *   w <- (1 - rho) w + rho softmax((s - beta S w) / tau),   from uniform
 *
 * A constant that is added to all of s or all of S changes nothing.
 *
 * @param products_SS  S, row by row: symmetric. @returns Weights that sum to 1.
 */
export function fixedPointWeights(
  score_S: ArrayLike<number>,
  products_SS: ArrayLike<number>,
  { beta, temperature, iterations, damping }: FixedPointOptions,
): FixedPoint {
  const numSamples = score_S.length
  let weight_S = new Float64Array(numSamples).fill(1 / numSamples)
  let change = 0
  for (let n = 0; n < iterations; n++) {
    const previous = weight_S
    const lowered = Float64Array.from({ length: numSamples }, (_, i) => {
      let shared = 0
      for (let j = 0; j < numSamples; j++) shared += products_SS[i * numSamples + j]! * previous[j]!
      return score_S[i]! - beta * shared
    })
    const target = softmaxShares(lowered, temperature)
    weight_S = previous.map((weight, i) => (1 - damping) * weight + damping * target[i]!)
    change = weight_S.reduce((most, weight, i) => Math.max(most, Math.abs(weight - previous[i]!)), 0)
  }
  return { weight_S, change }
}

/**
 * beta lambda / (2 tau), lambda the largest eigenvalue of S with the means of its rows and columns removed: without damping the iteration
 * contracts below 1, and may swing from side to side above it.
 */
export function contractionBound(
  products_SS: ArrayLike<number>,
  numSamples: number,
  { beta, temperature }: Pick<FixedPointOptions, 'beta' | 'temperature'>,
): number {
  return (beta * largestEigenvalue(centred(products_SS, numSamples), numSamples)) / (2 * temperature)
}

function centred(products_SS: ArrayLike<number>, n: number): Float64Array {
  const means = Float64Array.from({ length: n }, (_, i) => {
    let sum = 0
    for (let j = 0; j < n; j++) sum += products_SS[i * n + j]!
    return sum / n
  })
  const mean = means.reduce((sum, value) => sum + value, 0) / n
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n]
    return products_SS[at]! - means[i]! - means[j]! + mean
  })
}

/** Of a symmetric positive semidefinite matrix, by power iteration. */
function largestEigenvalue(matrix: Float64Array, n: number): number {
  let vector = Float64Array.from({ length: n }, (_, i) => Math.cos(i + 1))
  let value = 0
  for (let round = 0; round < 100; round++) {
    const next = vector.map((_, i) => vector.reduce((sum, x, j) => sum + matrix[i * n + j]! * x, 0))
    const length = Math.hypot(...next)
    if (length === 0) return 0
    const before = value
    value = length / Math.hypot(...vector)
    vector = next.map((x) => x / length)
    if (Math.abs(value - before) < 1e-9 * value) break
  }
  return value
}

class FixedPointGate implements Gate {
  private seen: Readonly<Record<string, number>> | undefined
  private readonly events: MethodEvent[] = []

  constructor(private readonly options: FixedPointOptions) {}

  weights(scores: Scores, { step }: { readonly step: number }) {
    const { score_S, products_SS, isKnown } = readInterplay('fixed-point', scores)
    // Not finite, as the step that they come from.
    if (!isKnown) return weightsBeside(scores, new Float64Array(score_S.length).fill(Number.NaN))
    const { weight_S, change } = fixedPointWeights(score_S, products_SS, this.options)
    this.seen =
      step % REPORT_EVERY === 0
        ? { change, contraction: contractionBound(products_SS, score_S.length, this.options) }
        : undefined
    return weightsBeside(scores, weight_S)
  }

  observe({ wasFinite, step }: StepOutcome): void {
    const seen = this.seen
    this.seen = undefined
    if (wasFinite && seen !== undefined) this.events.push({ kind: 'fixed-point', step, fields: seen })
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }
}

/**
 * Weights of {@link fixedPointWeights} over the labelled samples of a step; they sum to 1. Every ten steps the event `fixed-point` says how much the last
 * iteration changed (`change`) and whether it contracts without damping (`contraction` below 1).
 */
export const fixedPoint = defineGate({
  kind: 'fixed-point',
  about: 'softmax over the step of the score less what the sample shares with those of weight',
  units: ['sample'],
  applies: ['loss'],
  view: 'step',
  interactions: true,
  options: {
    beta: real(
      { min: 0, max: 1e6 },
      0.1,
      'How much samples that are alike share their weight; 0: the score alone.',
    ),
    temperature: { ...temperature, fallback: 0.05 },
    iterations: whole({ min: 1, max: 10_000 }, 5, 'Iterations towards the fixed point, from equal weights.'),
    damping: real({ above: 0, max: 1 }, 1, 'Share of the new weights in an iteration; 1: no damping.'),
  },
  create: (options) => new FixedPointGate(options),
})
