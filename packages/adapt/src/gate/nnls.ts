/** S samples of a step. */
import { defineGate } from '../method/define-method.js'
import { real } from '../method/option-table.js'
import { pickGreedily } from './greedy.js'
import { readInterplay, weightsBeside } from './interaction-gate.js'
import { countKept } from './pick-top.js'

/** Sweeps after which a solution is taken as it is; a change this small, relative to the largest weight, ends them before. */
const MAX_SWEEPS = 1000
const TOLERANCE = 1e-10

/**
 * min over w >= 0 of w'Sw / 2 - s'w, by coordinate descent: w_i <- max(0, w_i + (s_i - (S w)_i) / S_ii). With S = <x_i, x_j> and s = <x_i, u>
 * the step sizes that bring sum_i w_i x_i nearest to u.
 *
 * @param products_SS  S, row by row: symmetric, positive semidefinite. @param places  Samples that may have a weight; default all.
 * @returns [S]; 0 for a sample whose S_ii is not above 0.
 */
export function nonNegativeWeights(
  score_S: ArrayLike<number>,
  products_SS: ArrayLike<number>,
  places: readonly number[] = Array.from(score_S, (_, i) => i),
): Float64Array {
  const numSamples = score_S.length
  const weight_S = new Float64Array(numSamples)
  /** s - S w */
  const left = Float64Array.from(score_S)
  const free = places.filter((i) => products_SS[i * numSamples + i]! > 0)
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let change = 0
    let largest = 0
    for (const i of free) {
      const before = weight_S[i]!
      const after = Math.max(0, before + left[i]! / products_SS[i * numSamples + i]!)
      const delta = after - before
      if (delta !== 0) for (const j of free) left[j]! -= delta * products_SS[i * numSamples + j]!
      weight_S[i] = after
      change = Math.max(change, Math.abs(delta))
      largest = Math.max(largest, after)
    }
    if (change <= TOLERANCE * largest) break
  }
  return weight_S
}

/** Weights of {@link nonNegativeWeights} over the samples that a greedy pass keeps, 0 for the others; 1 for all where no sample has a product with itself. */
export const nnls = defineGate({
  kind: 'nnls',
  about: 'the weights >= 0 whose sum of updates comes nearest to the update that is wanted',
  units: ['sample'],
  applies: ['loss'],
  view: 'step',
  interactions: true,
  options: {
    keep: real({ above: 0, max: 1 }, 1, 'Share of the samples that a greedy pass lets have a weight'),
  },
  create: ({ keep }) => ({
    weights(scores) {
      const { score_S, products_SS, isKnown } = readInterplay('nnls', scores)
      // Not finite, as the step that they come from.
      if (!isKnown) return weightsBeside(scores, new Float64Array(score_S.length).fill(Number.NaN))
      // Before the optimiser knows a layer there is nothing to go by; without a first update it never would.
      if (!score_S.some((_, i) => products_SS[i * (score_S.length + 1)]! > 0)) {
        return weightsBeside(scores, new Float64Array(score_S.length).fill(1))
      }
      const places = pickGreedily(score_S, products_SS, countKept(keep, score_S.length))
      return weightsBeside(scores, nonNegativeWeights(score_S, products_SS, places))
    },
  }),
})
