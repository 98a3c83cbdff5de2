import { describe, expect, it } from 'vitest'
import { judge, noiseFloor, signFlipP, summarizePairs } from './paired-differences.js'

const DIFFERENCES = [-0.0117, -0.0093, -0.0141, -0.0102, 0.0012]

describe('summarizePairs', () => {
  it('gives mean, spread, interval and sign-flip p as scipy does', () => {
    // scipy 1.17.1: ttest_1samp(...).confidence_interval(0.95), std(ddof=1), permutation_test(samples).
    const summary = summarizePairs(DIFFERENCES)
    expect(summary.mean).toBeCloseTo(-0.00882, 12)
    expect(summary.sd).toBeCloseTo(0.005888718026871384, 12)
    expect(summary.low).toBeCloseTo(-0.016131809169539702, 10)
    expect(summary.high).toBeCloseTo(-0.0015081908304602964, 10)
    expect(summary.signFlipP).toBe(0.125)
    expect(summary.below).toBe(4)
    expect(summary.detectable / summary.sd).toBeCloseTo(1.682, 3)
  })

  it('says nothing of spread from one pair', () => {
    expect(summarizePairs([-0.5])).toMatchObject({
      mean: -0.5,
      sd: Number.NaN,
      low: Number.NaN,
      high: Number.NaN,
      signFlipP: Number.NaN,
      detectable: Number.NaN,
    })
  })
})

describe('signFlipP', () => {
  it.each([
    [[1, 2, 3], 0.25],
    [[1, 2, 3, 4, 5], 0.0625],
    [[1, -1], 1],
    [[0, 0, 0], 1],
    [[0.1, 0.2, -0.3], 1],
  ])('of %j is %d', (differences, expected) => {
    expect(signFlipP(differences)).toBe(expected)
  })

  it('is left out where there would be too many flips', () => {
    expect(signFlipP(new Array(21).fill(1))).toBeNaN()
    expect(signFlipP([])).toBeNaN()
  })
})

describe('judge', () => {
  const floor = noiseFloor(summarizePairs([0.001, -0.002, 0.0005]))

  it('takes the largest difference of a twin for the floor', () => {
    expect(floor).toMatchObject({ largest: 0.002, pairs: 3 })
  })

  it.each([
    [[-0.01, -0.011, -0.012], 'lower: interval excludes 0'],
    [[0.01, 0.011, 0.012], 'higher: interval excludes 0'],
    [[-0.01, 0.005, -0.02], 'interval includes 0'],
    [[-0.0015, -0.0016, -0.0017], 'below the floor'],
    [[-5], 'one seed: no conclusion'],
  ] as const)('of %j says %s', (differences, expected) => {
    expect(judge(summarizePairs(differences), floor)).toBe(expected)
  })

  it('needs no floor, but never speaks from one seed', () => {
    expect(judge(summarizePairs([-0.0015, -0.0016]), undefined)).toBe('lower: interval excludes 0')
    expect(judge(summarizePairs([-0.0015]), undefined)).toBe('one seed: no conclusion')
  })
})
