import { describe, expect, it } from 'vitest'
import { forwardFlops, numRefreshes, numRefreshesFromStart, trainingFlops } from './flops.js'

describe('refinements of the base counts', () => {
  it('adds the attention term in the published proportions', () => {
    const large = { layers: 32, width: 4096, context: 2048 }
    const small = { layers: 12, width: 768, context: 2048 }
    expect(forwardFlops(6.738e9, 1, { attention: large }) / forwardFlops(6.738e9, 1) - 1).toBeCloseTo(
      0.0398,
      4,
    )
    expect(forwardFlops(1.2e8, 1, { attention: small }) / forwardFlops(1.2e8, 1) - 1).toBeCloseTo(0.157, 3)
    const extra = trainingFlops(1.2e8, 1, { attention: small }) - trainingFlops(1.2e8, 1)
    expect(extra).toBe(3 * (forwardFlops(1.2e8, 1, { attention: small }) - forwardFlops(1.2e8, 1)))
  })

  it('charges recomputation 2N, and a frozen base 4N or 6N', () => {
    expect(trainingFlops(10, 7, { recompute: true })).toBe(8 * 10 * 7)
    expect(trainingFlops(10, 7, { frozenBase: true })).toBe(4 * 10 * 7)
    expect(trainingFlops(10, 7, { frozenBase: true, recompute: true })).toBe(6 * 10 * 7)
  })
})

it('anchors are embedded before the first step and then at every interval', () => {
  expect(numRefreshes(4220, 50)).toBe(85)
  expect(numRefreshes(50, 50)).toBe(1)
})

it('anchors are embedded at once in a run that begins between two multiples of the interval, then at those', () => {
  // From step 70: 70, 100, 150; from 100: 100, 150; nothing after the end.
  expect([70, 100, 200].map((first) => numRefreshesFromStart(first, 200, 50))).toEqual([3, 2, 0])
})
