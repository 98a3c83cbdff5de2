/** S samples of a whole optimiser step. */
import {
  add,
  bind,
  clamp,
  div,
  full,
  mul,
  noGrad,
  pow,
  scope,
  softmax,
  sub,
  type Tensor,
  tensor,
  toDType,
} from '@adapt-ts/torch'
import { defineGate } from '../method/define-method.js'
import { flag, oneOf, real, usedWith } from '../method/option-table.js'

const abs = bind('aten::abs')
const amax = bind('aten::amax')
const amin = bind('aten::amin')

/** What becomes of a score between the smallest and the largest of its step. */
export const SHAPES = ['linupper', 'quadratic', 'extremes', 'upper'] as const
/** Name of a shape. */
export type Shape = (typeof SHAPES)[number]

/** A narrower step is taken to be this wide: scores that are equal but for rounding are equal. */
const MIN_WIDTH = 1e-6
/** Steps with weight 1 that the source begins with, and the share of its runs of 20 000 steps that they are. */
const BURN_IN_STEPS = 1000
const BURN_IN_SHARE = 0.05

const SHAPE_OF: Readonly<Record<Shape, (h_S: Tensor, delta: number) => Tensor>> = {
  linupper: (h_S, delta) => clamp(add(h_S, delta), null, delta),
  quadratic: (h_S, delta) => add(mul(pow(div(h_S, delta), 2), -1), 1),
  extremes: (h_S) => abs(h_S) as Tensor,
  upper: (h_S, delta) => mul(add(h_S, delta), 0.5),
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
 * On the device: a step need not wait for it.
 *
 * @param score_S  Nats, one or more; where one is not finite, no weight is.
 * @returns float64 [S] with a mean of 1, in the current scope.
 * @see arXiv 2502.06733: LinUpper, Quadratic, Extremes; `upper` is in its code only.
 */
export function minMaxWeights(score_S: Tensor, { shape, delta, r }: MinMaxOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const scores = toDType(score_S, 'float64')
      const largest = amax(scores, [0]) as Tensor
      const smallest = amin(scores, [0]) as Tensor
      const width = clamp(sub(largest, smallest), MIN_WIDTH, null)
      const h_S = div(mul(sub(mul(scores, 2), add(largest, smallest)), delta), width)
      const share_S = softmax(div(SHAPE_OF[shape](h_S, delta), r), 0)
      return mul(share_S, scores.shape[0]!)
    }),
  )
}

/** Each weight [S] times its sample's labels over their mean number. */
export function weighLengths(weight_S: Tensor, labels: ArrayLike<number>): Tensor {
  return noGrad(() =>
    scope(() => {
      const counts = Array.from(labels)
      const total = counts.reduce((sum, count) => sum + count, 0)
      const factors = Float64Array.from(counts, (count) => (count * counts.length) / total)
      return mul(weight_S, tensor(factors, [factors.length], { device: weight_S.device }))
    }),
  )
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
    // Its square is divided out again.
    delta: usedWith(
      'another shape than quadratic',
      ({ shape }) => shape !== 'quadratic',
      real({ above: 0, max: 1e6 }, 1, 'Scores are scaled to [-delta, delta]'),
    ),
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
        return scope(() => {
          const weight_S =
            step < firstWeighed
              ? full(score.shape, 1, { dtype: 'float64', device: score.device })
              : minMaxWeights(score, options)
          return toDType(lengthNorm ? weighLengths(weight_S, labels) : weight_S, 'float32')
        })
      },
    }
  },
})
