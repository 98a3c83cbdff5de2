import { normalCdf, solveGrowing } from './special-functions.js'

/** Ends of an interval. */
export type Interval = readonly [low: number, high: number]

/** The z with P(Z <= z) = p of a standard normal number, 0 < p < 1. */
export function normalQuantile(p: number): number {
  return solveGrowing(normalCdf, p, { low: -40, high: 40 })
}

/**
 * Interval of an area under the ROC curve: all areas A from which the one that was found is at most z standard errors away, with the standard error
 * under A itself, so that it is right at 0 and 1 too.
 *
 *   SE^2 = A (1 - A) (1 + N ((1 - A) / (2 - A) + A / (1 + A))) / (m n),   N = (m + n) / 2 - 1
 *
 * @param level  Chance that it holds the true area, in (0, 1). Default 0.95.
 * @see Newcombe, Statistics in Medicine 25 (2006), 559-573, method 5 (after Hanley and McNeil).
 */
export function aucInterval(auc: number, numPositives: number, numNegatives: number, level = 0.95): Interval {
  if (Number.isNaN(auc)) return [Number.NaN, Number.NaN]
  const z = normalQuantile((1 + level) / 2)
  const halved = (numPositives + numNegatives) / 2 - 1
  const error = (area: number) =>
    Math.sqrt(
      (area * (1 - area) * (1 + halved * ((1 - area) / (2 - area) + area / (1 + area)))) /
        (numPositives * numNegatives),
    )
  return [
    auc === 0 ? 0 : solveGrowing((area) => area + z * error(area), auc, { low: 0, high: auc }),
    auc === 1 ? 1 : solveGrowing((area) => area - z * error(area), auc, { low: auc, high: 1 }),
  ]
}

/** How far from 1/2 the area of a score that tells nothing comes at most, with this chance: z sqrt((m + n + 1) / (12 m n)). */
export function randomAucHalfWidth(numPositives: number, numNegatives: number, level = 0.95): number {
  const z = normalQuantile((1 + level) / 2)
  return z * Math.sqrt((numPositives + numNegatives + 1) / (12 * numPositives * numNegatives))
}

/**
 * Interval of a rank correlation of n pairs: tanh(artanh r -+ z sqrt((1 + r^2 / 2) / (n - 3))).
 * @see Bonett and Wright, Psychometrika 65 (2000), 23-28.
 */
export function spearmanInterval(correlation: number, numPairs: number, level = 0.95): Interval {
  if (Number.isNaN(correlation) || numPairs < 4) return [Number.NaN, Number.NaN]
  if (Math.abs(correlation) === 1) return [correlation, correlation]
  const z = normalQuantile((1 + level) / 2)
  const half = z * Math.sqrt((1 + correlation ** 2 / 2) / (numPairs - 3))
  const at = Math.atanh(correlation)
  return [Math.tanh(at - half), Math.tanh(at + half)]
}
