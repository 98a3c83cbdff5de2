import { describe, expect, it } from 'vitest'
import { aucInterval, normalQuantile, randomAucHalfWidth, spearmanInterval } from './rank-intervals.js'

describe('normalQuantile', () => {
  it('gives the values of the tables', () => {
    expect(normalQuantile(0.975)).toBeCloseTo(1.959964, 6)
    expect(normalQuantile(0.05)).toBeCloseTo(-1.644854, 6)
  })
})

describe('aucInterval', () => {
  it('has ends from which the area is z standard errors away', () => {
    const [m, n, auc] = [30, 50, 0.8]
    const error = (area: number) => {
      const q1 = area / (2 - area)
      const q2 = (2 * area * area) / (1 + area)
      // Hanley and McNeil with m - 1 and n - 1 both replaced by their mean.
      const mean = (m + n) / 2 - 1
      return Math.sqrt((area * (1 - area) + mean * (q1 + q2 - 2 * area * area)) / (m * n))
    }
    const [low, high] = aucInterval(auc, m, n)
    expect(auc - low).toBeCloseTo(1.959964 * error(low), 6)
    expect(high - auc).toBeCloseTo(1.959964 * error(high), 6)
  })

  it('knows that a perfect separation of few is not certain', () => {
    const [low, high] = aucInterval(1, 5, 5)
    expect(high).toBe(1)
    expect(low).toBeLessThan(0.75)
    expect(aucInterval(0, 5, 5)[1]).toBeCloseTo(1 - low, 9)
  })

  it('holds 0.5 for about 95 of 100 scores that know nothing', () => {
    let state = 7
    const random = () => {
      state = (state * 48271) % 2147483647
      return state / 2147483647
    }
    let held = 0
    let within = 0
    for (let t = 0; t < 400; t++) {
      const positives = Array.from({ length: 20 }, random)
      const negatives = Array.from({ length: 60 }, random)
      const above = positives.flatMap((p) => negatives.filter((q) => p > q)).length
      const auc = above / 1200
      const [low, high] = aucInterval(auc, 20, 60)
      if (low <= 0.5 && high >= 0.5) held += 1
      if (Math.abs(auc - 0.5) <= randomAucHalfWidth(20, 60)) within += 1
    }
    expect(held / 400).toBeGreaterThan(0.92)
    expect(held / 400).toBeLessThan(0.98)
    expect(within / 400).toBeGreaterThan(0.92)
    expect(within / 400).toBeLessThan(0.98)
  })
})

describe('spearmanInterval', () => {
  it('is that of Bonett and Wright', () => {
    const [low, high] = spearmanInterval(0.5, 28)
    const half = (1.959964 * Math.sqrt(1 + 0.125)) / 5
    expect(low).toBeCloseTo(Math.tanh(Math.atanh(0.5) - half), 6)
    expect(high).toBeCloseTo(Math.tanh(Math.atanh(0.5) + half), 6)
  })

  it('is not there for too few pairs, or without a correlation', () => {
    expect(spearmanInterval(0.5, 3)).toEqual([Number.NaN, Number.NaN])
    expect(spearmanInterval(Number.NaN, 30)).toEqual([Number.NaN, Number.NaN])
  })
})
