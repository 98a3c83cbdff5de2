import { describe, expect, it } from 'vitest'
import type { Gate } from '../method/index.js'
import { eventOf, outcomeOf, stepFacts, weigh as weighOf } from '../method/step-facts.test.fixture.js'
import { CollapsedGate } from './collapsed-gate.js'
import { CalibratedSigmoidGate, createIdentityGate, createLinearGate } from './gates.js'
import { ShuffledGate } from './shuffled-gate.js'

const weigh = (gate: Gate, scores: readonly number[], index: readonly number[], step = 0) =>
  weighOf(gate, scores, { index, facts: stepFacts({ step }) })

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
/** Sixty samples in three lengths; each has its own index as score. */
const INDEXES = range(60)
const length = (index: number) => 10 * (1 + (index % 3))
const shuffled = (seed = 1) => new ShuffledGate(createIdentityGate(), { seed, length })
const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b)

describe('linear gate', () => {
  it('is offset + slope s, never below 0', () => {
    expect(weigh(createLinearGate({ offset: 1, slope: 0.5 }), [0, 1, -1, -4], range(4))).toEqual([
      1, 1.5, 0.5, 0,
    ])
  })

  it('keeps disturbances of one millionth apart from 1', () => {
    const weights = weigh(createLinearGate({ slope: 1e-6 }), [-1, 0, 1], range(3))
    expect(new Set(weights).size).toBe(3)
    for (const weight of weights) expect(Math.abs(weight - 1)).toBeLessThan(1.1e-6)
  })
})

describe('shuffled gate', () => {
  it('deals the same weights out to other samples of about the same length', () => {
    const weights = weigh(shuffled(), INDEXES, INDEXES)
    expect(sorted(weights)).toEqual(INDEXES)
    // Twenty samples of each length make ten groups of six, so a group never mixes the shortest with the longest.
    weights.forEach((from, to) => {
      expect(Math.abs(length(from) - length(to))).toBeLessThanOrEqual(10)
    })
    expect(weights.filter((from, to) => from === to).length).toBeLessThan(25)
  })

  it('deals anew in every step and with another seed', () => {
    const gate = shuffled()
    const first = weigh(gate, INDEXES, INDEXES)
    expect(weigh(gate, INDEXES, INDEXES)).toEqual(first)
    expect(weigh(gate, INDEXES, INDEXES, 1)).not.toEqual(first)
    expect(weigh(shuffled(2), INDEXES, INDEXES)).not.toEqual(first)
  })

  it('has no favourite: every member of a group gets every weight about as often', () => {
    const gate = new ShuffledGate(createIdentityGate(), { seed: 3, length: () => 5 })
    const counts = new Map<string, number>()
    for (let step = 0; step < 1200; step++) {
      for (const [to, from] of weigh(gate, range(4), range(4), step).entries()) {
        counts.set(`${from}->${to}`, (counts.get(`${from}->${to}`) ?? 0) + 1)
      }
    }
    expect(counts.size).toBe(16)
    // 300 expected, standard deviation 15.
    for (const count of counts.values()) expect(Math.abs(count - 300)).toBeLessThan(75)
  })

  it('does not see the order in which samples come', () => {
    const reversed = [...INDEXES].reverse()
    expect(weigh(shuffled(), reversed, reversed).reverse()).toEqual(weigh(shuffled(), INDEXES, INDEXES))
  })

  it('hands scores on to a gate that is calibrated', () => {
    const inner = new CalibratedSigmoidGate({ ess: 0.8, edr: 0.4, updateEvery: 1, warmupSteps: 1 })
    const gate = new ShuffledGate(inner, { seed: 1, length })
    const scores = Float64Array.from(INDEXES, (i) => Math.sin(i))
    gate.observe(outcomeOf(scores, 1), stepFacts())
    expect(eventOf(gate, 'calibration')).toMatchObject({ reached: true })
    gate.rescore(scores, 2)
    expect(eventOf(gate, 'calibration')).toMatchObject({ reached: true })
  })
})

describe('collapsed gate', () => {
  const make = () =>
    new CollapsedGate(createIdentityGate(), { numSources: 2, sourceIndex: (index) => index % 2 })
  /** Weights of a step, which then ends. */
  const step = (gate: Gate, scores: readonly number[], wasFinite = true) => {
    const weights = weigh(gate, scores, range(scores.length))
    gate.observe?.(outcomeOf(scores, 1, wasFinite), stepFacts())
    return weights
  }

  it('gives each sample the mean weight of its source', () => {
    expect(weigh(make(), [1, 10, 3, 30], range(4))).toEqual([2, 20, 2, 20])
  })

  it('remembers earlier steps, each one a hundredth less', () => {
    const gate = make()
    step(gate, [4])
    const [weight] = step(gate, [1])
    expect(weight).toBeCloseTo((0.99 * 4 + 1) / 1.99, 6)
  })

  it('forgets a step that was not finite', () => {
    const gate = make()
    step(gate, [2])
    step(gate, [Number.NaN], false)
    expect(step(gate, [2])).toEqual([2])
  })

  it('keeps nothing of a step whose weights were finite and whose gradient was not', () => {
    const gate = make()
    step(gate, [2, 6])
    const before = gate.state()
    expect(step(gate, [100, 100], false)).not.toEqual([2, 6])
    expect(gate.state()).toEqual(before)
    step(gate, [4, 4])
    expect(gate.state()).not.toEqual(before)
  })

  it('keeps nothing of weights whose step never ended', () => {
    const gate = make()
    step(gate, [2, 6])
    const before = gate.state()
    weigh(gate, [100, 100], range(2))
    expect(gate.state()).toEqual(before)
  })
})
