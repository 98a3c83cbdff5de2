import {
  bind,
  eq,
  full,
  indexCopy_,
  maskedFill,
  mul,
  narrow,
  noGrad,
  scope,
  sub,
  sum,
  type Tensor,
  tensor,
  toDType,
  where,
  zerosLike,
} from '@adapt-ts/torch'
import { defineGate, flag, oneOf, real, type Scores, usedWith } from '../method/index.js'
import { countKept, type PickOptions, pickTopBySource, pickTopOfEach } from './pick-top.js'

const stableSort = bind('aten::sort', 'stable')
const atLeast = bind('aten::ge', 'Tensor')
const absolute = bind('aten::abs')

/**
 * `pickTop` on the device, so that a step need not wait for it.
 * @param score_U  float32 [U]. @returns float32 [U], 1 for a unit that is kept, else 0; belongs to the current scope.
 */
export function markTop(score_U: Tensor, count: number, { end, ties }: PickOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const none_U = zerosLike(score_U)
      if (count === 0) return none_U
      const oriented =
        end === 'lowest' ? mul(score_U, -1) : end === 'middle' ? nearnessToMiddle(score_U) : score_U
      const lowest = full([], Number.NEGATIVE_INFINITY, { device: score_U.device })
      const value_U = where(eq(oriented, oriented), oriented, lowest)
      const [sorted_U, place_U] = sortStably(value_U, true)
      const one_U = full(score_U.shape, 1, { device: score_U.device })
      const kept_U =
        ties === 'all'
          ? where(atLeast(value_U, narrow(sorted_U, 0, count - 1, 1)) as Tensor, one_U, none_U)
          : indexCopy_(none_U, 0, narrow(place_U, 0, 0, count), narrow(one_U, 0, 0, count))
      // No candidate, however few there are.
      return maskedFill(kept_U, eq(value_U, Number.NEGATIVE_INFINITY), 0)
    }),
  )
}

function sortStably(values_U: Tensor, descending: boolean): [sorted_U: Tensor, place_U: Tensor] {
  return stableSort(values_U, { stable: true, dim: 0, descending }) as [Tensor, Tensor]
}

/** -|2 rank - (n - 1)| among the n finite scores, -infinity for the others: float32 [U]. */
function nearnessToMiddle(score_U: Tensor): Tensor {
  const { device, numel } = score_U
  // infinity - infinity and NaN - NaN are no numbers.
  const none_U = sub(score_U, score_U)
  const isFinite_U = eq(none_U, none_U)
  const infinity = full([], Number.POSITIVE_INFINITY, { device })
  const [, place_U] = sortStably(where(isFinite_U, score_U, infinity), false)
  const counted_U = toDType(isFinite_U, 'float32')
  const rank_U = indexCopy_(
    full([numel], 0, { device }),
    0,
    place_U,
    tensor(
      Float32Array.from({ length: numel }, (_, rank) => 2 * rank),
      [numel],
      { device },
    ),
  )
  const nearness_U = mul(absolute(sub(rank_U, sub(sum(counted_U), 1))) as Tensor, -1)
  return where(isFinite_U, nearness_U, full([], Number.NEGATIVE_INFINITY, { device }))
}

function pickOnHost(
  { score, source }: Scores,
  keep: number,
  { balanced, ...options }: PickOptions & { readonly balanced: boolean },
): Tensor {
  const values = score.toFloat32Array()
  const kept_U = balanced
    ? pickTopBySource(values, source, countKept(keep, values.length), options)
    : pickTopOfEach(values, source, keep, options)
  return tensor(Float32Array.from(kept_U), [kept_U.length], { device: score.device })
}

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
    end: oneOf(
      ['highest', 'lowest', 'middle'],
      'highest',
      'Which scores are the best; middle: those around the median.',
    ),
    ties: usedWith(
      'end: highest or lowest',
      ({ end }) => end !== 'middle',
      oneOf(
        ['place', 'all'],
        'place',
        'Units that tie with the last one kept: the first in order, or all of them.',
      ),
    ),
    balanced: flag(
      false,
      'Keep equally many of each source; what a small source cannot use goes to the others.',
    ),
    shareOf: usedWith(
      'balanced: false',
      ({ balanced }) => balanced === false,
      oneOf(
        ['all', 'source'],
        'all',
        'What keep is a share of: all units together, or those of each source.',
      ),
    ),
  },
  candidates: ({ keep }) => 1 / keep,
  needs: ({ balanced }) => (balanced ? { sources: 2 } : {}),
  create: ({ keep, balanced, shareOf, ...options }) => ({
    weights(scores) {
      return scope(() => {
        const { score } = scores
        const kept_U =
          balanced || shareOf === 'source'
            ? pickOnHost(scores, keep, { balanced, ...options })
            : markTop(score, countKept(keep, score.numel), options)
        return where(eq(score, score), kept_U, full([], Number.NaN, { device: score.device }))
      })
    },
  }),
})
