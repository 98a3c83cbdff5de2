/** S samples, n remembered ones. */
import { add, mul, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { sourceMeans } from './within-sources.js'

/**
 * Takes out of a score what other anchors would not have said: the part that tells samples of one source apart shrinks to its reliability, as in
 * Kelley's estimate of a true score.
 *
 *   s' = m_g + r (s - m_g)
 *
 * m_g is the mean of source g over remembered samples and r the reliability within sources, both of the last refresh that could tell them. A
 * sample of a source that was not among them keeps its score; so do all before there is an r.
 */
export class ScoreShrinkage {
  private reliability = 1
  /** By index of the source. */
  private means = new Map<number, number>()

  /** Takes m_g of these scores [n] from now on. @param reliability  r; where it is unknown nothing changes. */
  update(scores: ArrayLike<number>, sources: ArrayLike<number>, reliability: number | undefined): void {
    if (reliability === undefined) return
    this.reliability = reliability
    this.means = sourceMeans(scores, sources)
  }

  /** The means in force under the names of their sources, `sourceMean.NAME`. */
  figures(names: readonly string[]): Record<string, number> {
    return Object.fromEntries(
      [...this.means]
        .sort(([a], [b]) => a - b)
        .map(([source, mean]) => [`sourceMean.${names[source]}`, mean]),
    )
  }

  /** s' of scores, float32 [S]. Belongs to the current scope. @param sources  Indexes, [S]. */
  shrink(score_S: Tensor, sources: ArrayLike<number>): Tensor {
    if (this.means.size === 0) return score_S
    const { device } = score_S
    const row = (of: (source: number) => number) =>
      tensor(Float32Array.from(sources, of), [sources.length], { device })
    return scope(() =>
      add(
        mul(
          score_S,
          row((source) => this.slope(source)),
        ),
        row((source) => this.offset(source)),
      ),
    )
  }

  /** The same for scores of the host. */
  shrinkNumbers(scores: Float64Array, sources: ArrayLike<number>): Float64Array {
    return scores.map((score, i) => this.slope(sources[i]!) * score + this.offset(sources[i]!))
  }

  private slope(source: number): number {
    return this.means.has(source) ? this.reliability : 1
  }

  private offset(source: number): number {
    return (1 - this.reliability) * (this.means.get(source) ?? 0)
  }

  /** Plain JSON. */
  state(): Readonly<Record<string, unknown>> {
    return { reliability: this.reliability, means: [...this.means] }
  }

  load(state: Readonly<Record<string, unknown>> | undefined): void {
    this.reliability = Number(state?.reliability ?? 1)
    this.means = new Map((state?.means as [number, number][] | undefined) ?? [])
  }
}
