/** S samples of a whole optimiser step. */
import { tensor } from '@adapt-ts/torch'
import { defineGate } from '../method/define-method.js'
import { flag, oneOf, real, usedWith } from '../method/option-table.js'

/** What becomes of a score between the smallest and the largest of its step. */
export const SHAPES = ['linupper', 'quadratic', 'extremes', 'upper'] as const
/** Name of a shape. */
export type Shape = (typeof SHAPES)[number]

/** A narrower step is taken to be this wide: scores that are equal but for rounding are equal. */
const MIN_WIDTH = 1e-6
/** Steps with weight 1 that the source begins with, and the share of its runs of 20 000 steps that they are. */
const BURN_IN_STEPS = 1000
const BURN_IN_SHARE = 0.05

const SHAPE_OF: Readonly<Record<Shape, (h: number, delta: number) => number>> = {
  linupper: (h, delta) => Math.min(h + delta, delta),
  quadratic: (h, delta) => 1 - (h * h) / (delta * delta),
  extremes: (h) => Math.abs(h),
  upper: (h, delta) => 0.5 * h + 0.5 * delta,
}

/** Constants of {@link minMaxWeights}. */
export interface MinMaxOptions {
  readonly shape: Shape
  /** h lies in [-delta, delta]. */
  readonly delta: number
  /** Smaller is more selective. */
  readonly r: number
}

/**
 * Weights that depend on where a score lies between the extremes of its step:
 *
 *   h_i = delta (2 s_i - max - min) / (max - min)
 *   w_i = S softmax_i(f(h_i) / r),   f(h) = min(h + delta, delta) | 1 - h^2 / delta^2 | |h| | (h + delta) / 2
 *
 * @param score_S  Nats; where one is not finite, no weight is.
 * @returns Weights with a mean of 1.
 * @see arXiv 2502.06733: LinUpper, Quadratic, Extremes; `upper` is in its code only.
 */
export function minMaxWeights(score_S: ArrayLike<number>, { shape, delta, r }: MinMaxOptions): Float64Array {
  const scores = Float64Array.from(score_S)
  const [smallest, largest] = extremes(scores)
  const width = Math.max(largest - smallest, MIN_WIDTH)
  const logits = scores.map(
    (s) => SHAPE_OF[shape]((delta * (2 * s - (largest + smallest))) / width, delta) / r,
  )
  const [, top] = extremes(logits)
  const raised = logits.map((logit) => Math.exp(logit - top))
  const mean = raised.reduce((sum, value) => sum + value, 0) / raised.length
  return raised.map((value) => value / mean)
}

/** Smallest and largest; NaN where there is one. */
function extremes(values: Float64Array): [number, number] {
  let [smallest, largest] = [Infinity, -Infinity]
  for (const value of values) {
    if (Number.isNaN(value)) return [Number.NaN, Number.NaN]
    smallest = Math.min(smallest, value)
    largest = Math.max(largest, value)
  }
  return [smallest, largest]
}

/** Each weight times its sample's labels over their mean number. */
export function weighLengths(weights: Float64Array, labels: ArrayLike<number>): Float64Array {
  let total = 0
  for (let i = 0; i < labels.length; i++) total += labels[i]!
  return weights.map((weight, i) => (weight * labels[i]! * labels.length) / total)
}

/** Optimiser steps before the first that is weighed. */
export function burnInSteps(
  { burnIn, constants }: { readonly burnIn: number; readonly constants: 'scaled' | 'paper' },
  totalSteps: number,
): number {
  return constants === 'paper' ? BURN_IN_STEPS : Math.round(burnIn * totalSteps)
}

/** Softmax over the whole step of a shape of the scores, laid between the step's extremes: LinUpper and its relatives. */
export const minMaxSoftmax = defineGate({
  kind: 'min-max-softmax',
  about: 'softmax over the step of where the score lies between its extremes',
  units: ['sample'],
  applies: ['loss'],
  view: 'step',
  options: {
    shape: oneOf(
      SHAPES,
      'linupper',
      'linupper: rises to the middle of the step and stays there; quadratic: most for the middle; extremes: most for both ends; upper: rises throughout',
    ),
    r: real({ above: 0, max: 1e6 }, 1, 'Temperature of the softmax: smaller is more selective'),
    delta: real({ above: 0, max: 1e6 }, 1, 'Scores are scaled to [-delta, delta]'),
    burnIn: usedWith(
      'constants: scaled',
      ({ constants }) => constants === 'scaled',
      real({ min: 0, max: 1 }, BURN_IN_SHARE, 'Share of the run with weight 1 for all samples'),
    ),
    constants: oneOf(
      ['scaled', 'paper'],
      'scaled',
      `scaled: burn_in is a share of the run; paper: ${BURN_IN_STEPS} steps, whatever the length of the run`,
    ),
    lengthNorm: flag(false, "Multiply each weight by the sample's labels over their mean number"),
  },
  create: ({ burnIn, constants, lengthNorm, ...options }, { totalSteps }) => {
    const firstWeighed = burnInSteps({ burnIn, constants }, totalSteps)
    return {
      weights({ score, labels }, { step }) {
        const { device } = score
        const [numSamples] = score.shape as [number]
        const even = () => new Float64Array(numSamples).fill(1)
        const weights = step < firstWeighed ? even() : minMaxWeights(score.toFloat32Array(), options)
        const weight_S = lengthNorm ? weighLengths(weights, labels) : weights
        return tensor(Float32Array.from(weight_S), [numSamples], { device })
      },
    }
  },
})
