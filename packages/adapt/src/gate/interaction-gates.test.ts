import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { type Gate, scoresOf } from '../method/index.js'
import { eventOf, outcomeOf, stepFacts } from '../method/step-facts.test.fixture.js'
import { contractionBound, fixedPoint, fixedPointWeights } from './fixed-point.js'
import { nnls, nonNegativeWeights } from './nnls.js'
import { softmaxShares } from './softmax-shares.js'
import { keyedGumbel, pickAtRandom, stochasticGreedy } from './stochastic-greedy.js'

const SCORES = [1, 0.9, 0.8, 0.3]
const PRODUCTS = [1, 0.8, 0.1, 0, 0.8, 1, 0.1, 0, 0.1, 0.1, 1, 0.2, 0, 0, 0.2, 1]
const SHIFTED = PRODUCTS.map((product) => product + 5)
const NONE = new Array<number>(16).fill(0)
const DEFAULTS = { beta: 0.1, temperature: 0.05, iterations: 5, damping: 1 }

function expectClose(actual: ArrayLike<number>, expected: readonly number[], digits = 6): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, digits)
}

const weigh = (
  gate: Gate,
  scores: readonly number[] = SCORES,
  products: readonly number[] = PRODUCTS,
  facts = stepFacts(),
  index = scores.map((_, i) => i),
) =>
  scope(() => {
    const size = scores.length
    const labels = new Float64Array(size).fill(1)
    const all = scoresOf(tensor(scores, [size]), index, labels, facts, tensor(products, [size, size]))
    return [...gate.weights(all, facts).toFloat32Array()]
  })

describe('fixedPointWeights', () => {
  const weightsFor = (options: Partial<typeof DEFAULTS>, products = PRODUCTS) =>
    fixedPointWeights(SCORES, products, { ...DEFAULTS, ...options }).weight_S

  it('gives the worked weights', () => {
    expectClose(weightsFor({}), [0.794684, 0.139715, 0.065597, 0.000004])
    const damped = { beta: 1, temperature: 0.5, damping: 0.5, iterations: 50 }
    expectClose(weightsFor(damped), [0.30723, 0.256677, 0.287869, 0.148223])
    const slow = { beta: 1, damping: 0.2, iterations: 200 }
    expectClose(weightsFor(slow), [0.443686, 0.175523, 0.365342, 0.015449])
  })

  it('does not settle undamped beyond the bound: what comes out depends on the parity of the count', () => {
    expect(contractionBound(PRODUCTS, 4, { beta: 1, temperature: 0.5 })).toBeCloseTo(1.408221, 5)
    expect(contractionBound(PRODUCTS, 4, { beta: 1, temperature: 0.05 })).toBeCloseTo(14.082207, 4)
    expectClose(weightsFor({ beta: 1, iterations: 5 }), [0.880798, 0.119202, 0, 0])
    expectClose(weightsFor({ beta: 1, iterations: 6 }), [0.000001, 0.000004, 0.99966, 0.000335])
    expect(
      fixedPointWeights(SCORES, PRODUCTS, { ...DEFAULTS, beta: 1, iterations: 60 }).change,
    ).toBeGreaterThan(0.5)
  })

  it('settles within the bound', () => {
    const options = { beta: 0.1, temperature: 0.2, damping: 1, iterations: 100 }
    expect(contractionBound(PRODUCTS, 4, options)).toBeLessThan(1)
    expect(fixedPointWeights(SCORES, PRODUCTS, options).change).toBeLessThan(1e-6)
  })

  it('does not see a constant in scores or products', () => {
    expectClose(weightsFor({}, SHIFTED), [...weightsFor({})], 10)
    const raised = SCORES.map((score) => score + 3)
    expectClose(fixedPointWeights(raised, PRODUCTS, DEFAULTS).weight_S, [...weightsFor({})], 10)
    expect(contractionBound(SHIFTED, 4, DEFAULTS)).toBeCloseTo(contractionBound(PRODUCTS, 4, DEFAULTS), 6)
  })

  it('is a softmax without sharing, uniform at a high temperature and under a large multiple of the identity', () => {
    expectClose(weightsFor({ beta: 0 }), [...softmaxShares(SCORES, 0.05)], 12)
    expectClose(weightsFor({ temperature: 1e9 }), [0.25, 0.25, 0.25, 0.25])
    const identity = NONE.map((_, at) => (at % 5 === 0 ? 1e4 : 0))
    const options = { beta: 1, temperature: 1, damping: 1e-4, iterations: 20_000 }
    expectClose(weightsFor(options, identity), [0.25, 0.25, 0.25, 0.25], 3)
  })
})

describe('gate fixed-point', () => {
  it('weighs a step, and says how near it came', () => {
    const gate = fixedPoint.create({ ...DEFAULTS }, stepFacts())
    expectClose(weigh(gate), [0.794684, 0.139715, 0.065597, 0.000004])
    gate.observe!(outcomeOf(SCORES, 1), stepFacts())
    const { change, contraction } = eventOf(gate, 'fixed-point')!
    expect(contraction).toBeCloseTo(1.408221, 5)
    expect(change).toBeGreaterThan(0)
  })

  it('says nothing of a step that was not finite, whose weights are none', () => {
    const gate = fixedPoint.create({ ...DEFAULTS }, stepFacts())
    weigh(gate)
    gate.observe!(outcomeOf(SCORES, 1, false), stepFacts())
    expect(eventOf(gate, 'fixed-point')).toBeUndefined()
    expect(weigh(gate, SCORES, [Number.NaN, ...PRODUCTS.slice(1)]).every(Number.isNaN)).toBe(true)
    expect(weigh(gate, [Number.NaN, 1, 1, 1]).every(Number.isNaN)).toBe(true)
  })
})

describe('pickAtRandom', () => {
  const ROWS = [
    [0.1, 0.9, -0.2, 0.4],
    [0.3, -0.1, 1.1, 0.2],
    [-0.4, 0.5, 0, 0.6],
  ]
  const options = { temperature: 0.5, noise: (draw: number, place: number) => ROWS[draw]![place]! }

  it('draws the worked picks, also with a constant in scores or products', () => {
    expectClose(softmaxShares(SCORES, 0.5), [0.365544, 0.299282, 0.245032, 0.090142])
    expect(pickAtRandom(SCORES, PRODUCTS, 3, options)).toEqual([1, 2, 3])
    expect(pickAtRandom(SCORES, SHIFTED, 3, options)).toEqual([1, 2, 3])
    const raised = SCORES.map((score) => score - 7)
    expect(pickAtRandom(raised, PRODUCTS, 3, options)).toEqual([1, 2, 3])
  })

  it('has the second shares of the worked example', () => {
    const left = [1 - 0.8, 0.8 - 0.1, 0.3]
    expectClose(softmaxShares(left, 0.5), [0.202442, 0.550295, 0.247263])
  })

  it('draws as often as the shares say', () => {
    const counts = [0, 0, 0, 0]
    const rounds = 20_000
    for (let step = 0; step < rounds; step++) {
      const noise = keyedGumbel(3, step, [10, 11, 12, 13])
      counts[pickAtRandom(SCORES, PRODUCTS, 1, { temperature: 0.5, noise })[0]!]! += 1
    }
    const shares = softmaxShares(SCORES, 0.5)
    for (const [i, count] of counts.entries())
      expect(Math.abs(count / rounds - shares[i]!)).toBeLessThan(0.012)
  })
})

describe('keyedGumbel', () => {
  it('is a function of seed, step, draw and sample, and fresh in each of them', () => {
    const values = [
      keyedGumbel(1, 0, [7])(0, 0),
      keyedGumbel(2, 0, [7])(0, 0),
      keyedGumbel(1, 1, [7])(0, 0),
      keyedGumbel(1, 0, [8])(0, 0),
      keyedGumbel(1, 0, [7])(1, 0),
    ]
    expect(new Set(values).size).toBe(5)
    // Wherever the sample stands, and whatever was asked for before.
    expect(keyedGumbel(1, 0, [9, 7])(0, 1)).toBe(values[0])
    expect(keyedGumbel(1, 0, [9, 7])(1, 1)).toBe(values[4])
  })
})

describe('gate stochastic-greedy', () => {
  const make = (options: Partial<{ keep: number; temperature: number; scale: 'zscore' | 'raw' }> = {}) =>
    stochasticGreedy.create({ keep: 0.5, temperature: 0.9, scale: 'zscore', ...options }, stepFacts())

  it('is the greedy one at a low temperature', () => {
    expect(weigh(make({ temperature: 1e-6 }))).toEqual([1, 0, 1, 0])
    expect(weigh(make({ temperature: 1e-6, scale: 'raw' }))).toEqual([1, 0, 1, 0])
    expect(stochasticGreedy.candidates!({ keep: 0.25, temperature: 1, scale: 'raw' })).toBe(4)
  })

  it('draws the same samples wherever they stand in the step', () => {
    const gate = make()
    const order = [2, 0, 3, 1]
    for (let step = 0; step < 20; step++) {
      const facts = stepFacts({ step })
      const one = weigh(gate, SCORES, PRODUCTS, facts, [4, 5, 6, 7])
      const products = order.flatMap((i) => order.map((j) => PRODUCTS[i * 4 + j]!))
      const index = order.map((i) => 4 + i)
      const other = weigh(
        gate,
        order.map((i) => SCORES[i]!),
        products,
        facts,
        index,
      )
      expect(order.map((i) => one[i])).toEqual(other)
    }
  })

  it('says how far its first draw was from a uniform one, standardised or not', () => {
    const scores = [2.843133e-3, -2.817197e-3]
    const shares: Record<string, [number, number]> = {
      raw: [0.501572, 0.498428],
      zscore: [0.902227, 0.097773],
    }
    for (const scale of ['raw', 'zscore'] as const) {
      const gate = make({ scale })
      weigh(gate, scores, [0, 0, 0, 0])
      gate.observe!(outcomeOf(scores, 1), stepFacts())
      const { spread, ess } = eventOf(gate, 'draw') as { spread: number; ess: number }
      const [p, q] = shares[scale]!
      expect(ess).toBeCloseTo(1 / (p * p + q * q) / 2, 5)
      expect(spread).toBeCloseTo(scale === 'raw' ? 2.830165e-3 / 0.9 : 1 / 0.9, 6)
    }
  })

  it('does not see the unit of scores and products once they are standardised', () => {
    for (let step = 0; step < 10; step++) {
      const facts = stepFacts({ step })
      const small = weigh(
        make(),
        SCORES.map((s) => s / 1024),
        PRODUCTS.map((s) => s / 1024),
        facts,
      )
      expect(small).toEqual(weigh(make(), SCORES, PRODUCTS, facts))
    }
  })

  it('draws among equal scores, and keeps nothing when a product is no number', () => {
    expect(weigh(make(), [1, 1, 1, 1], NONE).reduce((sum, weight) => sum + weight)).toBe(2)
    expect(weigh(make(), SCORES, [Number.NaN, ...PRODUCTS.slice(1)])).toEqual([0, 0, 0, 0])
    expect(weigh(make(), [3], [1])).toEqual([1])
  })

  it('says nothing of a step that was not finite', () => {
    const gate = make()
    weigh(gate)
    gate.observe!(outcomeOf(SCORES, 1, false), stepFacts())
    expect(eventOf(gate, 'draw')).toBeUndefined()
  })
})

describe('nonNegativeWeights', () => {
  const objective = (weights: ArrayLike<number>) => {
    let value = 0
    for (let i = 0; i < 4; i++) {
      value -= SCORES[i]! * weights[i]!
      for (let j = 0; j < 4; j++) value += 0.5 * weights[i]! * PRODUCTS[i * 4 + j]! * weights[j]!
    }
    return value
  }

  it('gives the worked weights and their objective', () => {
    const weights = nonNegativeWeights(SCORES, PRODUCTS)
    expectClose(weights, [0.740632, 0.240632, 0.668618, 0.166276])
    expect(objective(weights)).toBeCloseTo(-0.770989, 6)
  })

  it('finds the step sizes that a target was made of, and 0 for what points away', () => {
    const updates = [
      [1, 0, 0],
      [0.5, 1, 0],
      [-1, -1, -1],
    ]
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
    const products = updates.flatMap((a) => updates.map((b) => dot(a, b)))
    const stepsTo = (target: readonly number[]) =>
      nonNegativeWeights(
        updates.map((x) => dot(x, target)),
        products,
      )
    expectClose(stepsTo([0.7 + 0.5 * 2, 2, 0]), [0.7, 2, 0], 6)
    expectClose(stepsTo([0.7, -0.5, 2]), [0.7, 0, 0], 6)
  })

  it('leaves a sample without a gradient alone', () => {
    expect([...nonNegativeWeights([1, 1], [1, 0, 0, 0])]).toEqual([1, 0])
  })
})

describe('gate nnls', () => {
  it('weighs what a greedy pass keeps', () => {
    expectClose(weigh(nnls.create({ keep: 1 }, stepFacts())), [0.740632, 0.240632, 0.668618, 0.166276])
    // Samples 0 and 2 alone: w solves [[1, .1], [.1, 1]] w = (1, .8).
    expectClose(weigh(nnls.create({ keep: 0.5 }, stepFacts())), [0.92 / 0.99, 0, 0.7 / 0.99, 0])
    // Before the first update of an optimiser nothing is known of any sample.
    expect(weigh(nnls.create({ keep: 0.5 }, stepFacts()), [0, 0, 0, 0], NONE)).toEqual([1, 1, 1, 1])
    const broken = [Number.NaN, ...PRODUCTS.slice(1)]
    expect(weigh(nnls.create({ keep: 1 }, stepFacts()), SCORES, broken).every(Number.isNaN)).toBe(true)
  })
})
