import { describe, expect, it } from 'vitest'
import { quotaPlaces } from './quota-places.js'

const orderOf = (places: Uint32Array) => [...places.keys()].sort((a, b) => places[a]! - places[b]!)

describe('quotaPlaces', () => {
  it('gives every target its share of any number that is taken', () => {
    const numSamples = 200
    const score_PK = Float64Array.from({ length: 3 * numSamples }, (_, i) => (i * 7919) % 1009)
    const shares = [5, 2, 1]
    const order = orderOf(quotaPlaces(score_PK, shares))
    // Who took a sample cannot be seen: the best ones of a target alone tell.
    const alone = orderOf(quotaPlaces(score_PK, [1, 0, 0]))
    expect(alone).toEqual(
      [...Array(numSamples).keys()].sort((a, b) => score_PK[3 * b]! - score_PK[3 * a]! || a - b),
    )
    expect(new Set(order).size).toBe(numSamples)
  })

  it('lets the one furthest behind choose, from what is left', () => {
    // Both want sample 0; the first target has two thirds.
    const score_PK = [9, 9, 8, 1, 7, 2, 1, 3]
    expect(orderOf(quotaPlaces(score_PK, [2, 1]))).toEqual([0, 3, 1, 2])
  })

  it('takes samples that are equal in their order', () => {
    expect(orderOf(quotaPlaces([1, 1, 1], [1]))).toEqual([0, 1, 2])
  })
})
