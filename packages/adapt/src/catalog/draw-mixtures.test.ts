import { describe, expect, it } from 'vitest'
import { bestMixture, drawMixtures, roundMixture, temperedPrior } from './draw-mixtures.js'

const PRIOR = [0.6, 0.3, 0.1]
const FREE = { prior: PRIOR, most: [1, 1, 1], seed: 3 }
const sum = (p: ArrayLike<number>) => Array.from(p).reduce((a, b) => a + b, 0)

describe('mixtures to train on', () => {
  it('are drawn around the flattened prior of the worked example, and rounded as there', () => {
    for (const [g, expected] of [0.472734, 0.334273, 0.192993].entries())
      expect(temperedPrior(PRIOR)[g]).toBeCloseTo(expected, 6)
    const rounded = roundMixture([0.71237, 0.28751, 0.00012])
    for (const [g, expected] of [0.7124, 0.2876, 0].entries()) expect(rounded[g]).toBeCloseTo(expected, 12)
    // Thirds are 1667 units each, one too many.
    expect(sum(roundMixture([1 / 3, 1 / 3, 1 / 3]))).toBeCloseTo(1, 12)
  })

  it('are as many as are asked for, each once, a function of the seed', () => {
    const found = drawMixtures(FREE, 64)
    expect(found).toHaveLength(64)
    expect(new Set(found.map((p) => p.join())).size).toBe(64)
    for (const p of found) expect(sum(p)).toBeCloseTo(1, 12)
    expect(drawMixtures(FREE, 64)).toEqual(found)
    expect(drawMixtures({ ...FREE, seed: 4 }, 64)).not.toEqual(found)
    // In no order: the parts of a cross-validation are alike.
    expect(found).not.toEqual([...found].sort((a, b) => a[0]! - b[0]!))
    for (let g = 0; g < 3; g++) {
      const mean = found.reduce((total, p) => total + p[g]!, 0) / found.length
      expect(Math.abs(mean - temperedPrior(PRIOR)[g]!)).toBeLessThan(0.15)
    }
  })

  it('read no source more than they may, also where few mixtures do not', () => {
    for (const scale of [3, 1.2, 1.01]) {
      const most = PRIOR.map((q) => Math.min(1, scale * q))
      const found = drawMixtures({ ...FREE, most }, 20)
      expect(found).toHaveLength(20)
      // Rounding moves a share by half a unit.
      for (const p of found) for (const [g, own] of p.entries()) expect(own).toBeLessThan(most[g]! + 2e-4)
    }
  })

  it('leave out sources without samples', () => {
    const found = drawMixtures({ prior: [0.7, 0, 0.3], most: [1, 0, 1], seed: 1 }, 10)
    expect(found.map((p) => p[1])).toEqual(new Array(10).fill(0))
    expect(bestMixture({ prior: [0.7, 0, 0.3], most: [1, 0, 1], seed: 1 }, (p) => p[0]!, 100, 5)[1]).toBe(0)
  })
})

describe('bestMixture', () => {
  it('is the mean of the mixtures with the lowest predictions', () => {
    const best = bestMixture(FREE, (p) => (p[1]! - 0.5) ** 2 + (p[0]! - 0.2) ** 2, 20_000, 128)
    for (const [g, expected] of [0.2, 0.5, 0.3].entries())
      expect(Math.abs(best[g]! - expected)).toBeLessThan(0.03)
    expect(sum(best)).toBeCloseTo(1, 12)
  })

  it('stays within the bounds, and at the prior where nothing else is', () => {
    const most = [0.7, 0.5, 0.15]
    const best = bestMixture({ ...FREE, most }, (p) => -p[2]!, 20_000, 128)
    expect(best[2]).toBeLessThanOrEqual(0.15)
    expect(best[2]).toBeGreaterThan(0.14)
    for (const [g, own] of bestMixture({ ...FREE, most: PRIOR }, (p) => -p[2]!, 200).entries())
      expect(own).toBeCloseTo(PRIOR[g]!, 12)
  })
})
