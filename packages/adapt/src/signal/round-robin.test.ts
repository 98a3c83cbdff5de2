import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { roundRobinPlaces } from './round-robin.js'

const WORKED = [
  [0.9, 0.8, 0.1, 0.2],
  [0.85, 0.3, 0.4, 0.7],
]

/** The samples in the order in which they are taken, from rows of queries. */
function orderOf(rows: readonly (readonly number[])[]): number[] {
  const numSamples = rows[0]!.length
  const bySample = Float32Array.from(
    { length: numSamples * rows.length },
    (_, i) => rows[i % rows.length]![Math.floor(i / rows.length)]!,
  )
  const order = new Array<number>(numSamples)
  roundRobinPlaces(bySample, rows.length).forEach((place, sample) => {
    order[place] = sample
  })
  return order
}

describe('roundRobinPlaces', () => {
  it('gives the worked order: a sample that is taken already costs the turn', () => {
    expect(orderOf(WORKED).slice(0, 3)).toEqual([0, 1, 3])
    expect(orderOf(WORKED)).toEqual([0, 1, 3, 2])
  })

  it('names the nearest of each query alone when told how many', () => {
    const places = (rows: readonly (readonly number[])[], numTurns: number) =>
      roundRobinPlaces(
        Float32Array.from(rows[0]!.flatMap((_, i) => rows.map((row) => row[i]!))),
        rows.length,
        numTurns,
      )
    // Neighbours 0, 1, 3 of the one and 0, 3, 2 of the other, rank by rank.
    const rows = [
      [0.9, 0.8, 0.1, 0.7],
      [0.9, 0.1, 0.7, 0.8],
    ]
    expect([...places(rows, 3)]).toEqual([0, 1, 3, 2])
    expect([...places(rows, 2)]).toEqual([0, 1, Infinity, 2])
    expect([...places(rows, 1)]).toEqual([0, Infinity, Infinity, Infinity])
    expect([...places([[1, 1, 1]], 2)]).toEqual([0, 1, Infinity])
  })

  it('takes the best of one query in their order, equal ones by their place', () => {
    expect(orderOf([[0.5, 0.9, 0.5, -1]])).toEqual([1, 0, 2, 3])
  })

  it('has taken, for any budget, what turn after turn gives', () => {
    const rows = fc
      .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 4 }))
      .chain(([samples, queries]) =>
        fc.array(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: samples, maxLength: samples }), {
          minLength: queries,
          maxLength: queries,
        }),
      )
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 8 }), (rows, budget) => {
        const lists = rows.map((row) => [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b))
        const taken: number[] = []
        while (taken.length < Math.min(budget, rows[0]!.length)) {
          for (const list of lists) {
            const sample = list.shift()!
            if (!taken.includes(sample) && taken.length < budget) taken.push(sample)
          }
        }
        expect(orderOf(rows).slice(0, budget)).toEqual(taken)
      }),
    )
  })
})
