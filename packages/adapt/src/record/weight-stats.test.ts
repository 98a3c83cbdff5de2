import { describe, expect, it } from 'vitest'
import type { SampleRecord } from './step-record.js'
import { moments, quantiles, summarizeSamples, weightStats } from './weight-stats.js'

function sample(fields: Partial<SampleRecord>): SampleRecord {
  return {
    index: 0,
    id: 'a:1',
    source: 'a',
    score: 0,
    weight: 1,
    sampleWeight: 1,
    loss: 1,
    tokens: 10,
    ...fields,
  }
}

describe('weightStats', () => {
  it('gives the worked figures for four weights with unequal lengths', () => {
    const stats = weightStats([0.9, 0.5, 0.1, 0.5], [100, 20, 400, 50])
    expect(stats.edr).toBeCloseTo(0.5, 9)
    expect(stats.ess).toBeCloseTo(3.030303, 6)
    expect(stats.essRatio).toBeCloseTo(0.757576, 6)
    expect(stats.tokenEdr).toBeCloseTo(0.289474, 6)
    expect(stats.tokenEss).toBeCloseTo(265.609756, 6)
    expect(stats.tokenEssRatio).toBeCloseTo(0.465982, 6)
    expect(stats).toMatchObject({ numSamples: 4, numTokens: 570 })
  })

  it('counts two of four samples when two weights are zero', () => {
    expect(weightStats([1, 1, 0, 0], [1, 1, 1, 1]).ess).toBe(2)
  })

  it('keeps the effective sample size, not the data ratio, when all weights are scaled', () => {
    const plain = weightStats([0.9, 0.5, 0.1], [3, 3, 3])
    const scaled = weightStats([6.3, 3.5, 0.7], [3, 3, 3])
    expect(scaled.essRatio).toBeCloseTo(plain.essRatio, 12)
    expect(scaled.edr).toBeCloseTo(7 * plain.edr, 12)
  })

  it('leaves samples without labels out', () => {
    expect(weightStats([0.9, 0.5, 77], [100, 20, 0])).toEqual(weightStats([0.9, 0.5], [100, 20]))
  })

  it('never gives NaN for no samples or no weight', () => {
    for (const stats of [weightStats([], []), weightStats([0, 0], [5, 5]), weightStats([1], [0])]) {
      for (const value of Object.values(stats)) expect(Number.isFinite(value)).toBe(true)
    }
  })

  it('refuses lists of different lengths', () => {
    expect(() => weightStats([1], [1, 2])).toThrow(RangeError)
  })
})

describe('quantiles', () => {
  it('interpolates between order statistics of an unsorted list', () => {
    expect(quantiles([4, 1, 3, 2], [0, 50, 75, 100])).toEqual([1, 2.5, 3.25, 4])
  })
  it('gives the one value of a list of one, and zeros for none', () => {
    expect(quantiles([7])).toEqual([7, 7, 7, 7, 7, 7, 7])
    expect(quantiles([])).toEqual([0, 0, 0, 0, 0, 0, 0])
  })
})

describe('moments', () => {
  it('keeps the spread of values far from zero', () => {
    const { mean, std } = moments([1e9 + 1, 1e9 + 2, 1e9 + 3])
    expect(mean).toBe(1e9 + 2)
    expect(std).toBeCloseTo(Math.sqrt(2 / 3), 9)
  })
})

describe('summarizeSamples', () => {
  const samples = [
    sample({ source: 'web', weight: 0.2, tokens: 30, score: -0.5 }),
    sample({ source: 'book', weight: 0.8, tokens: 10, score: 0.5, sampleWeight: 2 }),
    sample({ source: 'book', weight: 0.4, tokens: 20, score: 0.3 }),
    sample({ source: 'empty', weight: 0.9, tokens: 0, score: 99 }),
  ]

  it('gives each source its share of the weighted tokens', () => {
    const { massBySource } = summarizeSamples(samples, { unit: 'token' })
    expect(massBySource.web).toBeCloseTo(6 / 30, 12)
    expect(massBySource.book).toBeCloseTo(24 / 30, 12)
    expect(Object.keys(massBySource)).toEqual(['book', 'web'])
  })

  it('gives each source its share of the weighted samples', () => {
    const { massBySource } = summarizeSamples(samples, { unit: 'sample' })
    expect(massBySource.web).toBeCloseTo(0.2 / 2.2, 12)
    expect(massBySource.book).toBeCloseTo(2 / 2.2, 12)
  })

  it('gives every source the same mass as without weights where every weight is 1', () => {
    for (const unit of ['token', 'sample'] as const) {
      const stats = summarizeSamples(
        samples.map((each) => ({ ...each, weight: 1 })),
        { unit },
      )
      expect(stats.massBySource).toEqual(stats.uniformMassBySource)
    }
    const { uniformMassBySource } = summarizeSamples(samples, { unit: 'token' })
    expect(uniformMassBySource).toEqual({ book: 40 / 70, web: 30 / 70 })
  })

  it('keeps the static sample weight out of the means, and label-free samples out of everything', () => {
    const stats = summarizeSamples(samples, { unit: 'token' })
    expect(stats.numSamples).toBe(3)
    expect(stats.numTokens).toBe(60)
    expect(stats.weightMean).toBeCloseTo(1.4 / 3, 12)
    expect(stats.weightMeanBySource.book).toBeCloseTo(0.6, 12)
    expect(stats.scoreMean).toBeCloseTo(0.1, 12)
    expect(stats.weightQuantiles[6]).toBe(0.8)
    expect(stats.scoreQuantiles).toEqual(quantiles([-0.5, 0.5, 0.3]))
  })

  it('keeps a source named __proto__ and gives zero shares when nothing has weight', () => {
    const stats = summarizeSamples([sample({ source: '__proto__', weight: 0 })], { unit: 'token' })
    expect(Object.entries(stats.massBySource)).toEqual([['__proto__', 0]])
    expect(stats.essRatio).toBe(0)
  })
})
