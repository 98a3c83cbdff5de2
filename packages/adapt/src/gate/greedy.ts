/** S samples of a step. */
import { defineGate } from '../method/define-method.js'
import { real } from '../method/option-table.js'
import { markPlaces, readInterplay } from './interaction-gate.js'
import { countKept } from './pick-top.js'

/** What a candidate gains over its score in one draw. */
export type Noise = (draw: number, place: number) => number

/**
 * Takes the best sample, lowers every other score by what it shares with it, and repeats:
 *
 *   i* = argmax of s + noise over what is left;   s <- s - J[i*, :]
 *
 * @param interactions_SS  J, row by row.
 * @param noise  Default none.
 * @returns Places in the order in which they are taken; the first of equal scores. NaN is never taken.
 * @see Wang et al., GREATS, NeurIPS 2024, algorithm 1.
 */
export function pickGreedily(
  score_S: ArrayLike<number>,
  interactions_SS: ArrayLike<number>,
  count: number,
  noise: Noise = () => 0,
): number[] {
  const numSamples = score_S.length
  const left = Float64Array.from(score_S)
  const taken = new Set<number>()
  while (taken.size < count) {
    let best = -1
    let most = Number.NaN
    for (let i = 0; i < numSamples; i++) {
      if (taken.has(i)) continue
      const value = left[i]! + noise(taken.size, i)
      if (Number.isNaN(value) || (best !== -1 && !(value > most))) continue
      best = i
      most = value
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
    weights(scores) {
      const { score_S, products_SS, isKnown } = readInterplay('greedy', scores)
      // A step of which this is not known is no step: the mask keeps nothing of it.
      return markPlaces(
        scores,
        isKnown ? pickGreedily(score_S, products_SS, countKept(keep, score_S.length)) : [],
      )
    },
  }),
})
