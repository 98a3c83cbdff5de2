import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countKept, equalBudgets, pickTop, pickTopBySource } from './pick-top.js'

const placesOf = (kept: Uint8Array) => [...kept.keys()].filter((i) => kept[i] === 1)

describe('countKept', () => {
  it('takes the whole part of the share and at least one unit', () => {
    expect(countKept(0.4, 5)).toBe(2)
    expect(countKept(0.025, 270_679)).toBe(6766)
    expect(countKept(0.1, 320)).toBe(32)
    expect(countKept(0.6, 6)).toBe(3)
    expect(countKept(0.1, 3)).toBe(1)
    expect(countKept(1, 7)).toBe(7)
    expect(countKept(0.5, 0)).toBe(0)
  })
})

describe('pickTop', () => {
  it('keeps the 40 % of smallest keys', () => {
    const keys = [0.31, 0.07, 0.92, 0.55, 0.12]
    expect([...pickTop(keys, countKept(0.4, 5), { end: 'lowest' })]).toEqual([0, 1, 0, 0, 1])
  })

  it('keeps the two candidates with the largest reducible loss', () => {
    expect(placesOf(pickTop([0.5, -0.2, 0.8, 2.0], 2))).toEqual([2, 3])
  })

  it('keeps the three tokens with the largest excess loss', () => {
    const excess = [1, 0.05, 0.1, 0.8, -0.5, -0.1]
    const kept = pickTop(excess, countKept(0.6, 6), { ties: 'all' })
    expect(placesOf(kept)).toEqual([0, 2, 3])
    const losses = [2, 0.1, 3, 1, 4, 0.5]
    const sum = losses.reduce((total, loss, i) => total + kept[i]! * loss, 0)
    expect(sum / 3).toBeCloseTo(2, 12)
  })

  it('keeps those around the median of the candidates', () => {
    expect(placesOf(pickTop([5, 1, 4, 2, 3], 1, { end: 'middle' }))).toEqual([4])
    expect(placesOf(pickTop([5, 1, 4, 2, 3], 3, { end: 'middle' }))).toEqual([2, 3, 4])
    // Two lie as near: the first in order.
    expect(placesOf(pickTop([5, 1, 4, 2, 3], 2, { end: 'middle' }))).toEqual([2, 4])
    expect(placesOf(pickTop([1, Infinity, 2, -Infinity, 3, Number.NaN], 1, { end: 'middle' }))).toEqual([2])
    expect(placesOf(pickTop([Infinity, Number.NaN], 1, { end: 'middle' }))).toEqual([])
    expect(
      placesOf(pickTopBySource([1, 2, 3, 10, 20, 30], [0, 0, 0, 1, 1, 1], 2, { end: 'middle' })),
    ).toEqual([1, 4])
  })

  it('keeps the first of equal scores, or all of them when told so', () => {
    expect(placesOf(pickTop([1, 2, 2, 2, 0], 2))).toEqual([1, 2])
    expect(placesOf(pickTop([1, 2, 2, 2, 0], 2, { ties: 'all' }))).toEqual([1, 2, 3])
    expect(placesOf(pickTop([3, 3, 3], 1, { end: 'lowest' }))).toEqual([0])
  })

  it('never keeps what is no candidate, not even to fill up', () => {
    expect(placesOf(pickTop([-Infinity, 1, Number.NaN, -Infinity], 3))).toEqual([1])
    expect(placesOf(pickTop([Infinity, 1, Number.NaN, -Infinity], 3, { end: 'lowest' }))).toEqual([1, 3])
    expect(placesOf(pickTop([-Infinity, -Infinity], 1, { ties: 'all' }))).toEqual([])
    expect(placesOf(pickTop([], 1))).toEqual([])
  })

  it('agrees with a stable sort', () => {
    const score = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }))
    fc.assert(
      fc.property(fc.array(score, { maxLength: 40 }), fc.nat(45), fc.boolean(), (scores, count, lowest) => {
        const sign = lowest ? 1 : -1
        const expected = scores
          .map((value, place) => ({ value: sign * value, place }))
          .filter(({ value }) => value < Infinity)
          .sort((a, b) => a.value - b.value || a.place - b.place)
          .slice(0, count)
          .map(({ place }) => place)
          .sort((a, b) => a - b)
        expect(placesOf(pickTop(scores, count, { end: lowest ? 'lowest' : 'highest' }))).toEqual(expected)
      }),
    )
  })
})

describe('equalBudgets', () => {
  it('shares out equally, and what a small group cannot use among the others', () => {
    expect(equalBudgets([10, 10, 10], 9)).toEqual([3, 3, 3])
    expect(equalBudgets([1, 10, 10], 9)).toEqual([1, 4, 4])
    expect(equalBudgets([1, 3, 10], 10)).toEqual([1, 3, 6])
    expect(equalBudgets([2, 0, 2], 9)).toEqual([2, 0, 2])
    expect(equalBudgets([], 4)).toEqual([])
  })

  it('equals giving one to each group in turn', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(12), { maxLength: 6 }), fc.nat(60), (sizes, total) => {
        const given = sizes.map(() => 0)
        for (let left = total, turn = true; left > 0 && turn; ) {
          turn = false
          for (const [i, size] of sizes.entries()) {
            if (left === 0 || given[i] === size) continue
            given[i]! += 1
            left -= 1
            turn = true
          }
        }
        expect(equalBudgets(sizes, total)).toEqual(given)
      }),
    )
  })
})

describe('pickTopBySource', () => {
  it('gives a small source all it has and shares the rest out', () => {
    const scores = [0.9, 0.8, 0.7, 0.6, 0.1, 0.2, 0.3]
    const source = [0, 0, 0, 0, 1, 2, 2]
    expect(placesOf(pickTopBySource(scores, source, 3))).toEqual([0, 4, 6])
    expect(placesOf(pickTopBySource(scores, source, 5))).toEqual([0, 1, 4, 5, 6])
    expect(placesOf(pickTopBySource(scores, source, 6))).toEqual([0, 1, 2, 4, 5, 6])
  })

  it('does not spend the budget of a source on units that are no candidates', () => {
    const scores = [-Infinity, -Infinity, 3, 2, 1]
    expect(placesOf(pickTopBySource(scores, [0, 0, 1, 1, 1], 2))).toEqual([2, 3])
  })
})
