import { tensor } from '@adapt-ts/torch'
import { defineGate, flag, oneOf, real } from '../method/index.js'
import { countKept, pickTop, pickTopBySource } from './pick-top.js'

/**
 * w = 1 for the best share of the units, else 0: max(1, int(keep U)) of U units. These are the samples of the pool where scores were made before
 * training, else the labelled samples or tokens of the whole step. A unit whose score is not a number gets a weight that is none either, so that
 * its step counts as one that was not finite; -infinity marks a unit that is never kept.
 */
export const topFraction = defineGate({
  kind: 'top-fraction',
  about: 'keeps the units with the best scores and leaves the others out',
  units: ['token', 'sample'],
  applies: ['mask', 'loss'],
  view: 'step',
  options: {
    keep: real({ above: 0, max: 1 }, 0.1, 'Share of the units that is kept, at least one.'),
    end: oneOf(['highest', 'lowest'], 'highest', 'Which scores are the best.'),
    ties: oneOf(
      ['place', 'all'],
      'place',
      'Units that tie with the last one kept: the first in order, or all of them.',
    ),
    balanced: flag(
      false,
      'Keep equally many of each source; what a small source cannot use goes to the others.',
    ),
  },
  candidates: ({ keep }) => 1 / keep,
  needs: ({ balanced }) => (balanced ? { sources: 2 } : {}),
  create: ({ keep, balanced, ...options }) => ({
    weights(scores) {
      const { device } = scores.score
      const score_U = scores.score.toFloat32Array()
      const count = countKept(keep, score_U.length)
      const kept_U = balanced
        ? pickTopBySource(score_U, scores.source, count, options)
        : pickTop(score_U, count, options)
      const weight_U = Float32Array.from(kept_U, (kept, i) => (Number.isNaN(score_U[i]!) ? Number.NaN : kept))
      return tensor(weight_U, [weight_U.length], { device })
    },
  }),
})
