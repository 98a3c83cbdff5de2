/** n samples, G sources; a source is any value that tells it from the others. */
import { midRanks } from './rank-statistics.js'

/** Scores of the same samples under two halves of the anchors, float64 [n] each. */
export type HalfScores = readonly [ArrayLike<number>, ArrayLike<number>]

/** Fewest degrees of freedom within sources, n - G, that a correlation is taken of. */
const MIN_FREEDOM = 3

/** Places of the samples of each source, sources in the order of their first sample. */
function placesBySource<S>(sources: ArrayLike<S>): Map<S, number[]> {
  const places = new Map<S, number[]>()
  for (let i = 0; i < sources.length; i++) {
    const own = places.get(sources[i]!)
    if (own) own.push(i)
    else places.set(sources[i]!, [i])
  }
  return places
}

/** The mean of each source, m_g. */
export function sourceMeans<S>(scores: ArrayLike<number>, sources: ArrayLike<S>): Map<S, number> {
  return new Map(
    [...placesBySource(sources)].map(([source, places]) => [
      source,
      places.reduce((total, i) => total + scores[i]!, 0) / places.length,
    ]),
  )
}

/** What is left of each score without the mean of its source, float64 [n]. */
function deviations<S>(scores: ArrayLike<number>, sources: ArrayLike<S>): Float64Array {
  const means = sourceMeans(scores, sources)
  return Float64Array.from(scores, (score, i) => score - means.get(sources[i]!)!)
}

const product = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

/**
 * Share of the variance of the ranks that lies between sources, corrected for chance: epsilon^2 = 1 - (within / (n - G)) / (all / (n - 1)),
 * at least 0, which scores have that know no source. Undefined for one source, or as many as samples; NaN where all scores are equal.
 */
export function betweenSources<S>(scores: ArrayLike<number>, sources: ArrayLike<S>): number | undefined {
  const n = scores.length
  const G = placesBySource(sources).size
  if (G < 2 || n <= G) return undefined
  const ranks = midRanks(scores)
  const within = deviations(ranks, sources)
  const all = ranks.map((rank) => rank - (n + 1) / 2)
  return Math.max(0, 1 - product(within, within) / (n - G) / (product(all, all) / (n - 1)))
}

/**
 * How far the differences between samples of one source would come again with other anchors, in [0, 1]. With d = s - m_g under each half of the
 * anchors, pooled over sources, and the correction of Spearman and Brown for the half that each is short of:
 *
 *   rho = sum d_1 d_2 / sqrt(sum d_1^2 sum d_2^2),   r = clip(2 rho / (1 + rho), 0, 1)
 *
 * Undefined where samples of one source do not differ, or n - G < 3.
 */
export function withinReliability<S>([first, second]: HalfScores, sources: ArrayLike<S>): number | undefined {
  if (sources.length - placesBySource(sources).size < MIN_FREEDOM) return undefined
  const [a, b] = [deviations(first, sources), deviations(second, sources)]
  const rho = product(a, b) / Math.sqrt(product(a, a) * product(b, b))
  if (!Number.isFinite(rho)) return undefined
  return rho <= 0 ? 0 : Math.min(1, (2 * rho) / (1 + rho))
}

/**
 * What sources have to do with scores, for the figures of a refresh; what cannot be told is left out.
 * @param halves  Absent where the anchors could not be halved.
 */
export function sourceFigures<S>(
  scores: ArrayLike<number>,
  sources: ArrayLike<S>,
  halves: HalfScores | undefined,
): { readonly betweenSources?: number; readonly withinReliability?: number } {
  const between = betweenSources(scores, sources)
  const within = halves && withinReliability(halves, sources)
  return {
    ...(between === undefined || Number.isNaN(between) ? {} : { betweenSources: between }),
    ...(within === undefined ? {} : { withinReliability: within }),
  }
}
