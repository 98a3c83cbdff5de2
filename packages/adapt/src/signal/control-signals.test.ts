import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Signal } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import { createRandomSignal, keyedNormal } from './random-signal.js'
import { createSourceSignal } from './source-signal.js'

const score = (signal: Signal, samples: readonly { index: number; source?: string }[]) =>
  scope(() => {
    const batch = batchOf(samples.map((sample) => [{ tokens: [3, 4, 5], ...sample }]))
    const states = new GivenStates()
    states.move(
      batch,
      samples.map(() => [0]),
    )
    return [...signal.score(states.look(batch), stepFacts()).toFloat32Array()]
  })

describe('random signal', () => {
  it('is a function of the seed and the index of the sample alone', () => {
    const signal = createRandomSignal({ seed: 4 })
    const [a, b] = score(signal, [{ index: 7 }, { index: 8 }])
    expect(score(signal, [{ index: 8 }, { index: 1 }, { index: 7 }])).toMatchObject({ 0: b, 2: a })
    expect(a).not.toBe(b)
    expect(score(createRandomSignal({ seed: 5 }), [{ index: 7 }])).not.toEqual([a])
  })

  it('is standard normal over samples', () => {
    const values = Array.from({ length: 20_000 }, (_, i) => keyedNormal(3, i))
    const mean = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / values.length
    // Four standard errors of each moment.
    expect(Math.abs(mean(1))).toBeLessThan(4 * Math.sqrt(1 / values.length))
    expect(Math.abs(mean(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / values.length))
    expect(Math.abs(mean(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / values.length))
    const inside = values.filter((x) => Math.abs(x) < 1).length / values.length
    expect(Math.abs(inside - 0.682689)).toBeLessThan(4 * Math.sqrt(0.2166 / values.length))
  })
})

describe('source signal', () => {
  const sources = ['sql', 'noise', 'constructor']

  it('looks the score up by source', () => {
    const signal = createSourceSignal({ table: { sql: 1 }, default: 0.25, sources })
    const samples = sources.map((source, index) => ({ index, source }))
    expect(score(signal, samples)).toEqual([1, 0.25, 0.25])
  })

  it('refuses a name that the data does not have', () => {
    expect(() => createSourceSignal({ table: { sqll: 1 }, default: 0, sources })).toThrowError(
      /method\.signal\.table: expected names of sources of data\.train \(sql, noise, constructor\), received "sqll"/,
    )
  })
})
