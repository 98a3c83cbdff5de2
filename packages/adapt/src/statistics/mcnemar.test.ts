import { describe, expect, it } from 'vitest'
import { mcNemar } from './mcnemar.js'

/** scipy 1.17.1: binomtest(b, b + c, 0.5).pvalue, and 2 (binom.cdf(k, n, 0.5) - binom.pmf(k, n, 0.5) / 2) with k = min(b, c). */
const CASES = [
  { b: 5, c: 15, exact: 0.04138946533203125, mid: 0.026603698730468753 },
  { b: 0, c: 6, exact: 0.03125, mid: 0.015625 },
  { b: 1, c: 0, exact: 1, mid: 0.5 },
  { b: 3, c: 9, exact: 0.14599609375, mid: 0.09228515625 },
  { b: 121, c: 59, exact: 4.4344492637551645e-6, mid: 3.2666467957745733e-6 },
  { b: 3000, c: 3100, exact: 0.2049495446515585, mid: 0.2004484237967243 },
]

describe("McNemar's test", () => {
  it.each(CASES)('gives the p of scipy for $b and $c', ({ b, c, exact, mid }) => {
    for (const found of [mcNemar(b, c), mcNemar(c, b)]) {
      expect(found.exactP / exact).toBeCloseTo(1, 8)
      expect(found.midP / mid).toBeCloseTo(1, 8)
    }
  })

  it('says nothing where both agree, or differ evenly', () => {
    expect(mcNemar(0, 0)).toEqual({ onlyFirst: 0, onlySecond: 0, exactP: 1, midP: 1 })
    expect(mcNemar(10, 10).exactP).toBe(1)
    expect(mcNemar(10, 10).midP).toBeCloseTo(1, 12)
  })
})
