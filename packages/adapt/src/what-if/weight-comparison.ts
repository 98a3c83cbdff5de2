import type { StepRows } from '../record/index.js'
import { quantiles, WEIGHT_PERCENTS, weightStats } from '../record/index.js'
import { spearman } from '../signal/index.js'

/** What the weights of a run did as a whole. */
export interface WeightFigures {
  /** Effective data ratio over all rows. */
  readonly weightMean: number
  /** Kish effective sample size / n, mean over the steps. */
  readonly essRatio: number
  /** At 0, 5, 25, 50, 75, 95 and 100 % of all rows. */
  readonly weightQuantiles: readonly number[]
  readonly sources: Readonly<Record<string, SourceFigures>>
}

/** What the weights did with one source. */
export interface SourceFigures {
  readonly rows: number
  readonly weightMean: number
  /** Share of the weighted objective, mean over the steps. */
  readonly mass: number
}

/** How far two weights of the same rows lie apart. */
export interface WeightDifferences {
  /** Spearman's correlation of the two weights within a step, mean over the steps where both vary; NaN without any. */
  readonly rankCorrelation: number
  /** Rows whose weight became more than twice or less than half as large. */
  readonly changedRows: number
  /** Samples with at least one such row. */
  readonly changedSamples: number
  readonly maxDifference: number
  readonly meanDifference: number
}

/** Collects weights step by step. Rows without labels take no part, nor do weights that are not finite. */
export class WeightTally {
  readonly #unit: 'token' | 'sample'
  readonly #sources = new Map<string, { rows: number; weight: number; mass: number }>()
  #weights = new Float32Array(1024)
  #rows = 0
  #essSum = 0
  #massSteps = 0
  #steps = 0

  /** @param unit  What the normaliser counts: mass is sum w v n ("token") or sum w v ("sample"). */
  constructor(unit: 'token' | 'sample') {
    this.#unit = unit
  }

  /** Rows that took part so far. */
  get rows(): number {
    return this.#rows
  }

  /** @param weights  float32 [S] of the step's rows. */
  add({ part, begin, end }: StepRows, weights: Float32Array): void {
    const used: number[] = []
    for (let row = begin; row < end; row++) {
      if (part.tokens[row]! > 0 && Number.isFinite(weights[row - begin])) used.push(row)
    }
    if (used.length === 0) return
    this.#reserve(used.length)
    const masses = new Map<string, number>()
    let total = 0
    for (const row of used) {
      const weight = weights[row - begin]!
      const source = part.source[row]!
      const mass = weight * part.sampleWeight[row]! * (this.#unit === 'token' ? part.tokens[row]! : 1)
      let entry = this.#sources.get(source)
      if (entry === undefined) {
        entry = { rows: 0, weight: 0, mass: 0 }
        this.#sources.set(source, entry)
      }
      entry.rows++
      entry.weight += weight
      masses.set(source, (masses.get(source) ?? 0) + mass)
      total += mass
      this.#weights[this.#rows++] = weight
    }
    const step = this.#weights.subarray(this.#rows - used.length, this.#rows)
    this.#essSum += weightStats(step, new Uint8Array(step.length).fill(1)).essRatio
    this.#steps++
    if (!(total > 0 && Number.isFinite(total))) return
    this.#massSteps++
    for (const [source, mass] of masses) this.#sources.get(source)!.mass += mass / total
  }

  /** The figures of all steps so far. */
  figures(): WeightFigures {
    const weights = this.#weights.subarray(0, this.#rows)
    let sum = 0
    for (const weight of weights) sum += weight
    const sources = [...this.#sources].sort(([a], [b]) => (a < b ? -1 : 1))
    return {
      weightMean: sum / Math.max(1, this.#rows),
      essRatio: this.#essSum / Math.max(1, this.#steps),
      weightQuantiles: quantiles(weights, WEIGHT_PERCENTS),
      // fromEntries keeps a source named `__proto__`.
      sources: Object.fromEntries(
        sources.map(([name, { rows, weight, mass }]) => [
          name,
          { rows, weightMean: weight / rows, mass: mass / Math.max(1, this.#massSteps) },
        ]),
      ),
    }
  }

  #reserve(count: number): void {
    if (this.#rows + count <= this.#weights.length) return
    const grown = new Float32Array(Math.max(2 * this.#weights.length, this.#rows + count))
    grown.set(this.#weights)
    this.#weights = grown
  }
}

/** Collects how two weights of the same rows differ, step by step. */
export class DifferenceTally {
  readonly #changedSamples = new Set<number>()
  #changedRows = 0
  #rows = 0
  #sum = 0
  #max = 0
  #correlationSum = 0
  #correlationSteps = 0

  /** @param before, after  float32 [S] of the step's rows. */
  add({ part, begin, end }: StepRows, before: Float32Array, after: Float32Array): void {
    const a: number[] = []
    const b: number[] = []
    for (let row = begin; row < end; row++) {
      const old = before[row - begin]!
      const fresh = after[row - begin]!
      if (part.tokens[row] === 0 || !(Number.isFinite(old) && Number.isFinite(fresh))) continue
      a.push(old)
      b.push(fresh)
      const difference = Math.abs(fresh - old)
      this.#sum += difference
      this.#max = Math.max(this.#max, difference)
      if (Math.max(old, fresh) <= 2 * Math.min(old, fresh)) continue
      this.#changedRows++
      this.#changedSamples.add(part.sample[row]!)
    }
    this.#rows += a.length
    const correlation = spearman(a, b)
    if (Number.isNaN(correlation)) return
    this.#correlationSum += correlation
    this.#correlationSteps++
  }

  /** The differences over all steps so far. */
  differences(): WeightDifferences {
    return {
      rankCorrelation:
        this.#correlationSteps === 0 ? Number.NaN : this.#correlationSum / this.#correlationSteps,
      changedRows: this.#changedRows,
      changedSamples: this.#changedSamples.size,
      maxDifference: this.#max,
      meanDifference: this.#sum / Math.max(1, this.#rows),
    }
  }
}
