import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { scoresOf } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { greedy, pickGreedily } from './greedy.js'

const SCORES = [1, 0.9, 0.8, 0.3]
const PRODUCTS = [1, 0.8, 0.1, 0, 0.8, 1, 0.1, 0, 0.1, 0.1, 1, 0.2, 0, 0, 0.2, 1]

const weigh = (scores: readonly number[], products: readonly number[], keep: number) =>
  scope(() => {
    const facts = stepFacts()
    const size = scores.length
    const labels = new Float64Array(size).fill(1)
    const all = scoresOf(
      tensor(scores, [size]),
      scores.map((_, i) => i),
      labels,
      facts,
      tensor(products, [size, size]),
    )
    return [...greedy.create({ keep }, facts).weights(all, facts).toFloat32Array()]
  })

describe('pickGreedily', () => {
  it.each([
    [1, [0, 2]],
    [0.1, [0, 1]],
    [2e-5, [0, 1]],
  ])('gives the worked picks at a rate of %d', (eta, expected) => {
    const scores = SCORES.map((s) => s * eta)
    const products = PRODUCTS.map((j) => j * eta ** 2)
    expect(pickGreedily(scores, products, 2)).toEqual(expected)
  })

  it('takes the first of equal scores, each once, and all when asked for more', () => {
    expect(pickGreedily([1, 1, 1], new Array(9).fill(0), 2)).toEqual([0, 1])
    expect(pickGreedily([1, 2], [0, 0, 0, 0], 5)).toEqual([1, 0])
  })
})

describe('gate greedy', () => {
  it('keeps the floor of its share, at least one', () => {
    expect(weigh(SCORES, PRODUCTS, 0.5)).toEqual([1, 0, 1, 0])
    expect(weigh(SCORES, PRODUCTS, 0.7)).toEqual([1, 0, 1, 0])
    expect(weigh(SCORES, PRODUCTS, 0.1)).toEqual([1, 0, 0, 0])
    expect(weigh(SCORES, PRODUCTS, 1)).toEqual([1, 1, 1, 1])
    expect(greedy.candidates!({ keep: 0.5 })).toBe(2)
  })

  it('keeps nothing when a product is no number', () => {
    expect(weigh(SCORES, [Number.NaN, ...PRODUCTS.slice(1)], 0.5)).toEqual([0, 0, 0, 0])
  })
})

it('picks for a mask alone: products of samples are not made for a loss', () => {
  expect(greedy.applies).toEqual(['mask'])
})
