import type { StepRecord } from '../record/index.js'
import type { HeatMap } from './chart-spec.js'

const MAX_COLUMNS = 100
const MIN_COLUMNS = 20
/** With fewer samples in a column the map would show their luck. */
const SAMPLES_PER_COLUMN = 150
const CELLS = 40

/** Counts scores over steps and over a fixed range, for a heat map. */
export class ScoreDensity {
  readonly #edges: number[]
  readonly #low: number
  readonly #high: number
  readonly #counts: number[][]

  /** Sized by the quantiles of the steps; undefined when they are not in the records or the scores never differ. */
  static over(steps: readonly StepRecord[]): ScoreDensity | undefined {
    const known = steps.flatMap(({ scoreQuantiles: q }) => (q?.every(Number.isFinite) ? [q] : []))
    const least = (position: number): number =>
      known.reduce((low, q) => Math.min(low, q[position]!), Number.POSITIVE_INFINITY)
    const most = (position: number): number =>
      known.reduce((high, q) => Math.max(high, q[position]!), Number.NEGATIVE_INFINITY)
    // A few far scores must not press all others into one cell: they are left out of the picture.
    const span = most(5) - least(1)
    const low = Math.max(least(0), least(1) - span)
    const high = Math.min(most(6), most(5) + span)
    const samples = steps.reduce((sum, step) => sum + step.numSamples, 0)
    const columns = Math.min(MAX_COLUMNS, Math.max(MIN_COLUMNS, Math.floor(samples / SAMPLES_PER_COLUMN)))
    return high > low ? new ScoreDensity(low, high, steps.at(-1)!.step, columns) : undefined
  }

  private constructor(low: number, high: number, lastStep: number, most: number) {
    const columns = Math.min(most, lastStep)
    this.#edges = Array.from({ length: columns + 1 }, (_, i) => Math.round((i * lastStep) / columns))
    this.#low = low
    this.#high = high
    this.#counts = Array.from({ length: columns }, () => new Array<number>(CELLS).fill(0))
  }

  add(step: number, score: number): void {
    const columns = this.#counts.length
    // The edges are rounded, so the guess may be one off.
    let column = Math.min(columns - 1, Math.floor((step * columns) / this.#edges.at(-1)!))
    while (column > 0 && step <= this.#edges[column]!) column--
    while (column < columns - 1 && step > this.#edges[column + 1]!) column++
    const cell = Math.floor(((score - this.#low) / (this.#high - this.#low)) * CELLS)
    if (score < this.#low || score > this.#high || Number.isNaN(cell)) return
    this.#counts[column]![Math.min(cell, CELLS - 1)]!++
  }

  finish(): HeatMap {
    const cells = this.#counts.map((column) => {
      const fullest = column.reduce((most, count) => Math.max(most, count), 1)
      return column.map((count) => Math.ceil((100 * count) / fullest))
    })
    return { edges: this.#edges, low: this.#low, high: this.#high, cells, color: 'ink' }
  }
}
