/** K sources with samples, G sources of the data. */
import type { DataFacts } from '../method/contract.js'

/** The sources that are drawn at all: what a policy is over. */
export interface ActiveSources {
  /** Index of each among the sources of the data, [K]. */
  readonly indexes: readonly number[]
  /** Share of each in the tokens that the order of the data draws, [K], sums to 1. */
  readonly shares: readonly number[]
  /** Place among them of the source with this index. */
  readonly placeOf: ReadonlyMap<number, number>
  /** Values [K] by name, for events. */
  named(values: readonly number[]): Record<string, number>
  /** Values [K] by source of the data, [G]; 0 for a source without samples. */
  spread(values: readonly number[]): Float64Array
}

/** The sources of the data that have a share in its order. */
export function activeSources(data: Pick<DataFacts, 'sources' | 'drawShares'>): ActiveSources {
  const drawn = data.drawShares()
  const indexes = [...drawn.keys()].filter((g) => drawn[g]! > 0)
  return {
    indexes,
    shares: indexes.map((g) => drawn[g]!),
    placeOf: new Map(indexes.map((g, k) => [g, k])),
    named: (values) => Object.fromEntries(indexes.map((g, k) => [data.sources[g]!, values[k]!])),
    spread(values) {
      const all = new Float64Array(drawn.length)
      for (const [k, g] of indexes.entries()) all[g] = values[k]!
      return all
    },
  }
}
