import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPermutation, permuteIndex } from './permute-index.js'

const all = (seed: number, epoch: number, numSamples: number, stream = 0): number[] => {
  const permute = createPermutation({ seed, epoch, numSamples, stream })
  return Array.from({ length: numSamples }, (_, i) => permute(i))
}

describe('permuteIndex', () => {
  it('is a bijection for every size up to 2000', () => {
    for (let n = 1; n <= 2000; n++) {
      const seen = new Uint8Array(n)
      for (const x of all(n, 3, n)) {
        seen[x]! += 1
      }
      expect(seen.every((count) => count === 1)).toBe(true)
    }
  })

  it('is a bijection for any seed and epoch', () => {
    const anyNumber = fc.maxSafeNat()
    fc.assert(
      fc.property(
        anyNumber,
        anyNumber,
        anyNumber,
        fc.integer({ min: 1, max: 2000 }),
        (seed, epoch, stream, n) => {
          const order = all(seed, epoch, n, stream)
          expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i))
        },
      ),
      { seed: 7, numRuns: 100 },
    )
  })

  it('never maps two places of a huge range to one, and stays inside it', () => {
    for (const numSamples of [2 ** 31 + 11, 2 ** 32, 2 ** 40 - 3, Number.MAX_SAFE_INTEGER]) {
      const permute = createPermutation({ seed: 1, epoch: 0, numSamples })
      const places = Array.from({ length: 4000 }, (_, i) => (i % 2 === 0 ? i : numSamples - i))
      const images = places.map(permute)
      expect(new Set(images).size).toBe(places.length)
      expect(images.every((x) => Number.isSafeInteger(x) && x >= 0 && x < numSamples)).toBe(true)
      // Neighbours fly apart: each quarter of the range gets about a quarter of them (5 sigma).
      for (let quarter = 0; quarter < 4; quarter++) {
        const count = images.filter((x) => Math.floor((x / numSamples) * 4) === quarter).length
        expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(4000 * 0.25 * 0.75))
      }
    }
  })

  it('depends on every part of the key, the high bits too', () => {
    const orders = [
      all(0, 0, 50),
      all(1, 0, 50),
      all(2 ** 32, 0, 50),
      all(2 ** 52, 0, 50),
      all(0, 1, 50),
      all(0, 2 ** 33, 50),
      all(0, 0, 50, 1),
      all(0, 0, 51),
    ].map((order) => order.join())
    expect(new Set(orders).size).toBe(orders.length)
    expect(all(0, 0, 50)).toEqual(
      Array.from({ length: 50 }, (_, i) => permuteIndex({ seed: 0, epoch: 0, numSamples: 50 }, i)),
    )
  })

  it.each([2, 3, 4, 5])('gives every order of %i things equally often', (n) => {
    const counts = new Map<string, number>()
    const numTrials = 24_000
    for (let epoch = 0; epoch < numTrials; epoch++) {
      const order = all(5, epoch, n).join()
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    const numOrders = [1, 1, 2, 6, 24, 120][n]!
    expect(counts.size).toBe(numOrders)
    const expected = numTrials / numOrders
    const chiSquare = [...counts.values()].reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0)
    // Mean of chi-square plus five standard deviations.
    expect(chiSquare).toBeLessThan(numOrders - 1 + 5 * Math.sqrt(2 * (numOrders - 1)))
  })

  it('puts each of 13 samples at each place equally often, and keeps no neighbours together', () => {
    const n = 13
    const numTrials = 20_000
    const at = new Float64Array(n * n)
    let numNeighbours = 0
    for (let epoch = 0; epoch < numTrials; epoch++) {
      const order = all(9, epoch, n)
      for (const [i, x] of order.entries()) {
        at[i * n + x]! += 1
        numNeighbours += order[i + 1] === x + 1 ? 1 : 0
      }
    }
    const expected = numTrials / n
    const chiSquare = at.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0)
    const freedom = (n - 1) ** 2
    expect(chiSquare).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom))
    // (n - 1) places, each followed by its successor with probability 1 / n.
    expect(Math.abs(numNeighbours / numTrials - (n - 1) / n)).toBeLessThan(5 / Math.sqrt(numTrials))
  })

  it('stays the same from release to release', () => {
    expect(all(0, 0, 12)).toEqual([4, 7, 9, 3, 0, 10, 6, 1, 2, 8, 5, 11])
    expect(permuteIndex({ seed: 42, epoch: 7, numSamples: 10 ** 12 }, 123_456)).toBe(150_739_262_476)
  })

  it('refuses numbers outside their range', () => {
    const key = { seed: 0, epoch: 0, numSamples: 3 }
    for (const i of [-1, 3, 0.5, Number.NaN]) {
      expect(() => permuteIndex(key, i)).toThrow(RangeError)
    }
    for (const wrong of [
      { seed: -1 },
      { epoch: 0.5 },
      { numSamples: 0 },
      { seed: 2 ** 53 },
      { stream: Number.NaN },
    ]) {
      expect(() => createPermutation({ ...key, ...wrong })).toThrow(RangeError)
    }
  })
})
