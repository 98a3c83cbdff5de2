import type { StepRecord } from '../record/index.js'

/** What one source had of the objective of a step: with its weights, and with every weight 1. */
export interface SourceShare {
  readonly mass: number
  readonly uniform: number
}

/**
 * The shares of a step by source; none where no sample had any weight, or where a share is not finite. Logs of
 * versions before uniform shares get them from the mean weights, which is exact for a loss per sample.
 */
export function sourceShares(step: StepRecord): Map<string, SourceShare> {
  const { massBySource, uniformMassBySource, weightMean, weightMeanBySource } = step
  const shares = new Map<string, SourceShare>()
  for (const [source, mass] of Object.entries(massBySource)) {
    const uniform =
      uniformMassBySource === undefined
        ? (mass * weightMean) / (ownValue(weightMeanBySource, source) ?? Number.NaN)
        : (ownValue(uniformMassBySource, source) ?? Number.NaN)
    if (Number.isFinite(mass) && Number.isFinite(uniform)) shares.set(source, { mass, uniform })
  }
  return [...shares.values()].some(({ mass }) => mass > 0) ? shares : new Map()
}

/** Shares summed over steps. Mass / uniform is the relative weight: 1 for a uniform run, whatever its batches held. */
export class ShareSums {
  readonly #sums = new Map<string, { mass: number; uniform: number }>()
  #steps = 0

  /** Adds one step. */
  add(step: StepRecord): void {
    const shares = sourceShares(step)
    if (shares.size === 0) return
    this.#steps++
    for (const [source, { mass, uniform }] of shares) {
      const sum = this.#sums.get(source) ?? { mass: 0, uniform: 0 }
      sum.mass += mass
      sum.uniform += uniform
      this.#sums.set(source, sum)
    }
  }

  /** Means over the steps, by source in order of name. */
  means(): Map<string, SourceShare> {
    const sorted = [...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1))
    return new Map(
      sorted.map(([source, { mass, uniform }]) => [
        source,
        { mass: mass / this.#steps, uniform: uniform / this.#steps },
      ]),
    )
  }
}

export function ownValue<V>(record: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}
