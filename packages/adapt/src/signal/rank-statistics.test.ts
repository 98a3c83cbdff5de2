import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { midRanks, separationAuc, spearman } from './rank-statistics.js'

/** Ranks by counting: 1 + how many are smaller + half of the others that are equal. */
const slowRanks = (values: readonly number[]) =>
  values.map((x, i) => values.reduce((rank, y, j) => rank + (y < x ? 1 : y === x && j !== i ? 0.5 : 0), 1))

function pearson(a: readonly number[], b: readonly number[]): number {
  const centre = (values: readonly number[]) =>
    values.map((x) => x - values.reduce((sum, y) => sum + y, 0) / values.length)
  const [x, y] = [centre(a), centre(b)]
  const dot = (p: readonly number[], q: readonly number[]) => p.reduce((sum, v, i) => sum + v * q[i]!, 0)
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y))
}

function slowAuc(positives: readonly number[], negatives: readonly number[]): number {
  let wins = 0
  for (const p of positives) for (const n of negatives) wins += p > n ? 1 : p === n ? 0.5 : 0
  return wins / (positives.length * negatives.length)
}

/** Few different values, so that most lists have ties. */
const tied = (minLength: number) => fc.array(fc.integer({ min: -3, max: 3 }), { minLength, maxLength: 30 })

describe('midRanks', () => {
  it('shares ranks between equal values', () => {
    expect([...midRanks([10, 20, 10, 30, 20, 20])]).toEqual([1.5, 4, 1.5, 6, 4, 4])
    expect(midRanks([])).toHaveLength(0)
  })

  it('agrees with counting', () => {
    fc.assert(
      fc.property(tied(0), (values) => {
        expect([...midRanks(values)]).toEqual(slowRanks(values))
      }),
    )
  })
})

describe('spearman', () => {
  it('is the correlation of ranks that counting gives, with ties', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 })), { minLength: 2 }),
        (pairs) => {
          const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)]
          const expected = pearson(slowRanks(a), slowRanks(b))
          const found = spearman(a, b)
          if (Number.isNaN(expected)) expect(found).toBeNaN()
          else expect(found).toBeCloseTo(expected, 10)
        },
      ),
    )
  })

  it('sees order only, and none in a constant list', () => {
    expect(spearman([1, 2, 3, 4], [1, 10, 100, 1000])).toBe(1)
    expect(spearman([1, 2, 3, 4], [4, 3, 2, 1])).toBe(-1)
    expect(spearman([1, 1, 1], [1, 2, 3])).toBeNaN()
    expect(() => spearman([1, 2], [1])).toThrow(RangeError)
  })
})

describe('separationAuc', () => {
  it('agrees with comparing every pair, ties counting half', () => {
    fc.assert(
      fc.property(tied(1), tied(1), (a, b) => {
        expect(separationAuc(a, b)).toBeCloseTo(slowAuc(a, b), 10)
      }),
    )
  })

  it('is 1 when all positives are above, 0.5 without a difference, NaN without one side', () => {
    expect(separationAuc([3, 4], [1, 2])).toBe(1)
    expect(separationAuc([1, 1], [1, 1])).toBe(0.5)
    expect(separationAuc([], [1])).toBeNaN()
    expect(separationAuc([1], [])).toBeNaN()
  })
})
