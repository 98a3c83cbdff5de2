/** U samples that were scored for a draw. */
import { defineGate } from '../method/define-method.js'
import { type OptionsOf, oneOf, real } from '../method/option-table.js'
import { POOL_DRAW_OPTIONS, poolPasses } from './draw-schedule.js'
import { createDrawingGate } from './drawing-gate.js'

/** Bands of scores, from the bottom. */
export const FOCUSES = ['low', 'medium', 'high'] as const

const BAND_OPTIONS = {
  focus: oneOf(FOCUSES, 'medium', 'The band of scores that is drawn more often.'),
  bandWeight: real(
    { above: 0, max: 1e6 },
    5,
    'Weight of a sample in the band of `focus`; one of another band has 1.',
  ),
  lowerQuantile: real({ above: 0, below: 1 }, 0.33, 'Quantile of the scores where the low band ends.'),
  upperQuantile: real({ above: 0, below: 1 }, 0.66, 'Quantile of the scores where the high band begins.'),
  temperature: real({ above: 0 }, 1, 'Weights are raised to 1 / temperature: below 1 is more selective.'),
}

/** Options of {@link bandWeights}. */
export type BandOptions = OptionsOf<typeof BAND_OPTIONS>

/**
 * Weights by the band in which a score lies, between quantiles q1 and q2 of the scores:
 *
 *   low: s <= q1,  medium: q1 < s <= q2,  high: s > q2
 *   w = bandWeight^(1 / temperature) in the band of `focus`, 1 elsewhere
 *
 * @param score  Finite numbers, [U].
 * @returns weight_U float64 [U]; q1 and q2.
 */
export function bandWeights(
  score: readonly number[],
  { focus, bandWeight, lowerQuantile, upperQuantile, temperature }: BandOptions,
): { readonly weight_U: Float64Array; readonly lower: number; readonly upper: number } {
  const sorted = Float64Array.from(score).sort()
  const [lower, upper] = [quantile(sorted, lowerQuantile), quantile(sorted, upperQuantile)]
  const bandOf = (s: number) => (s <= lower ? 'low' : s <= upper ? 'medium' : 'high')
  const raised = bandWeight ** (1 / temperature)
  return { weight_U: Float64Array.from(score, (s) => (bandOf(s) === focus ? raised : 1)), lower, upper }
}

/** Linear interpolation between neighbours; 0 of none. */
function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return 0
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const [a, b] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!]
  return a + (place - below) * (b - a)
}

/** {@link bandWeights} of the pool, drawn anew every U steps. */
export const band = defineGate({
  kind: 'band',
  about: 'draws one band of scores more often than the others, anew every U steps',
  units: ['sample'],
  applies: ['sample'],
  draws: 'samples',
  view: 'batch',
  options: { ...BAND_OPTIONS, ...POOL_DRAW_OPTIONS },
  check: ({ lowerQuantile, upperQuantile }) =>
    lowerQuantile < upperQuantile
      ? []
      : [
          {
            key: 'upperQuantile',
            message: `expected a number above lower_quantile (${lowerQuantile}), received ${upperQuantile}`,
          },
        ],
  poolPasses,
  create: (options, facts) =>
    createDrawingGate({ ...options, kind: 'band', sameParts: false }, facts, ({ score }) => {
      const { weight_U, ...figures } = bandWeights(score, options)
      return { weight_U, figures }
    }),
})
