import { describe, expect, it } from 'vitest'
import { drawDirichlet } from './dirichlet.js'

/** Numbers in (0, 1) of a linear congruence: any source will do. */
function uniformOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
}

describe('drawDirichlet', () => {
  it('has the mean and the variance of the distribution, for small and large alpha', () => {
    for (const alpha of [
      [0.3, 0.15, 0.05],
      [2, 5, 13],
    ]) {
      const uniform = uniformOf(9)
      const count = 40_000
      const draws = Array.from({ length: count }, () => drawDirichlet(alpha, uniform))
      const total = alpha.reduce((a, b) => a + b, 0)
      for (const [g, a] of alpha.entries()) {
        const mean = draws.reduce((sum, p) => sum + p[g]!, 0) / count
        const variance = draws.reduce((sum, p) => sum + (p[g]! - mean) ** 2, 0) / count
        const expected = a / total
        const spread = (expected * (1 - expected)) / (total + 1)
        expect(Math.abs(mean - expected)).toBeLessThan(5 * Math.sqrt(spread / count))
        expect(variance / spread).toBeCloseTo(1, 1)
      }
    }
  })

  it('sums to 1 where every gamma variate would be 0', () => {
    const draws = Array.from({ length: 100 }, (_, i) => drawDirichlet([1e-5, 2e-5, 1e-6], uniformOf(i)))
    for (const p of draws) expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
    expect(new Set(draws.map((p) => p.indexOf(Math.max(...p)))).size).toBeGreaterThan(1)
  })
})
