/** S samples of a step. */
import { tensor } from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'
import { defineGate } from '../method/define-method.js'
import { real } from '../method/option-table.js'
import { readTogether } from '../method/read-together.js'
import { countKept } from './pick-top.js'

/**
 * Takes the best sample, lowers every other score by what it shares with it, and repeats:
 *
 *   i* = argmax of s over what is left;   s <- s - J[i*, :]
 *
 * @param interactions_SS  J, row by row.
 * @returns Places in the order in which they are taken; the first of equal scores. NaN is never taken.
 * @see Wang et al., GREATS, NeurIPS 2024, algorithm 1.
 */
export function pickGreedily(
  score_S: ArrayLike<number>,
  interactions_SS: ArrayLike<number>,
  count: number,
): number[] {
  const numSamples = score_S.length
  const left = Float64Array.from(score_S)
  const taken = new Set<number>()
  while (taken.size < count) {
    let best = -1
    for (let i = 0; i < numSamples; i++) {
      if (taken.has(i) || Number.isNaN(left[i]!)) continue
      if (best === -1 || left[i]! > left[best]!) best = i
    }
    if (best === -1) break
    taken.add(best)
    for (let i = 0; i < numSamples; i++) left[i]! -= interactions_SS[best * numSamples + i]!
  }
  return [...taken]
}

/** w = 1 for the samples that {@link pickGreedily} takes, else 0: max(1, floor(keep S)) of the labelled samples of a step. */
export const greedy = defineGate({
  kind: 'greedy',
  about: 'takes sample after sample, each time the best in view of those already taken',
  units: ['sample'],
  applies: ['mask'],
  view: 'step',
  interactions: true,
  options: { keep: real({ above: 0, max: 1 }, 0.5, 'Share of the candidates that is trained') },
  candidates: ({ keep }) => 1 / keep,
  create: ({ keep }) => ({
    weights({ score, interactions }) {
      if (interactions === undefined) {
        throw new AdaptError(
          'NOT_NAMED',
          EXIT.bug,
          'gate greedy: expected products of the samples, received none',
        )
      }
      const numSamples = score.shape[0]!
      const [scores, products] = readTogether([score, interactions]) as [Float32Array, Float32Array]
      // A step of which this is not known is no step: the mask keeps nothing of it.
      const isKnown = products.every(Number.isFinite)
      const count = countKept(keep, numSamples)
      const weight_S = new Float32Array(numSamples)
      const picked = isKnown ? pickGreedily(scores, products, count) : []
      for (const place of picked) weight_S[place] = 1
      return tensor(weight_S, [numSamples], { device: score.device })
    },
  }),
})
