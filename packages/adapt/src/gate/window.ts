/** U samples that were scored for a draw. */
import { defineGate } from '../method/define-method.js'
import { type OptionsOf, real } from '../method/option-table.js'
import { POOL_DRAW_OPTIONS, poolPasses } from './draw-schedule.js'
import { createDrawingGate } from './drawing-gate.js'

const WINDOW_OPTIONS = {
  windowShare: real({ above: 0, max: 1 }, 0.2, 'Share of the scored samples that lie in the window.'),
  outsideWeight: real({ min: 0, max: 1 }, 0.025, 'Weight of a sample outside the window; one inside has 1.'),
  steepness: real(
    { above: 0 },
    10,
    'How fast the window moves from the largest scores down, about the middle of the draws.',
  ),
}

/** Options of the window itself. */
export type WindowOptions = OptionsOf<typeof WINDOW_OPTIONS>

/** Places in the sorted scores, the end not included. */
export interface WindowPlace {
  readonly start: number
  readonly end: number
}

/**
 * Where the window lies in n sorted scores at draw u of U after the first:
 *
 *   x = (n - w n) / (1 + exp(-k (u / U - 1/2))),  [floor(x), floor(x + w n))
 *
 * @param windowShare  w
 * @param steepness  k
 */
export function windowPlace(
  numScores: number,
  { draw, later }: { readonly draw: number; readonly later: number },
  { windowShare, steepness }: Pick<WindowOptions, 'windowShare' | 'steepness'>,
): WindowPlace {
  const width = windowShare * numScores
  const start = (numScores - width) / (1 + Math.exp(-steepness * (draw / later - 0.5)))
  return { start: Math.floor(start), end: Math.floor(start + width) }
}

/**
 * Weights of scores sorted from the largest down, ties by the sample's index: 1 in the window, `outsideWeight` outside. The window ends where the
 * scores fall below 0; where nothing of it is left, and in the first draw, all weights are 1.
 *
 * @param score  Finite numbers, [U].
 * @param of.index  Dense index of the sample of each, [U].
 * @returns weight_U float64 [U]; the places in the window.
 */
export function windowWeights(
  score: readonly number[],
  of: { readonly index: readonly number[]; readonly draw: number; readonly later: number },
  options: WindowOptions,
): WindowPlace & { readonly weight_U: Float64Array } {
  const n = score.length
  const all = { weight_U: new Float64Array(n).fill(1), start: 0, end: n }
  if (of.draw === 0) return all
  const order = Array.from(score, (_, i) => i).sort(
    (a, b) => score[b]! - score[a]! || of.index[a]! - of.index[b]!,
  )
  const negative = order.findIndex((i) => score[i]! < 0)
  const place = windowPlace(n, of, options)
  const end = Math.min(place.end, negative < 0 ? n : negative)
  if (place.start >= end) return all
  const weight_U = new Float64Array(n).fill(options.outsideWeight)
  for (const i of order.slice(place.start, end)) weight_U[i] = 1
  return { weight_U, start: place.start, end }
}

/** {@link windowWeights} of the pool, drawn anew every U steps. */
export const window = defineGate({
  kind: 'window',
  about: 'draws from a window that moves down the sorted scores of the pool, anew every U steps',
  units: ['sample'],
  applies: ['sample'],
  draws: 'samples',
  view: 'batch',
  options: { ...WINDOW_OPTIONS, ...POOL_DRAW_OPTIONS },
  poolPasses,
  create: (options, facts) =>
    // A fall is seen where a sample is scored a second time: the parts must be the same.
    createDrawingGate({ ...options, kind: 'window', sameParts: true }, facts, ({ index, score, ...draw }) => {
      const { weight_U, start, end } = windowWeights(score, { index, ...draw }, options)
      return { weight_U, figures: { start, end } }
    }),
})
