import { describe, expect, it } from 'vitest'
import { niceTicks } from './dot-chart.js'

describe('niceTicks', () => {
  it('encloses the values with round numbers, zero exactly zero', () => {
    for (const values of [[1.6, 3.03], [-0.028, 0, 0.003], [2, 2], [0], []]) {
      const ticks = niceTicks(values, 0.05)
      expect(ticks.length).toBeGreaterThan(2)
      expect(ticks.length).toBeLessThan(10)
      for (const value of values) {
        expect(ticks[0]).toBeLessThanOrEqual(value)
        expect(ticks.at(-1)).toBeGreaterThanOrEqual(value)
      }
    }
    expect(niceTicks([-0.028, 0, 0.003], 0.05)).toContain(0)
  })
})
