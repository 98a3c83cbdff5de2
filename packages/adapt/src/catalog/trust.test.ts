import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { outcomeOf } from '../method/step-facts.test.fixture.js'
import { GivenStates } from '../signal/hidden-states.test.fixture.js'
import { keyedNormal } from '../signal/index.js'
import { createMethod } from './create-method.js'

const WIDTH = 48
const normal = (index: number) => Array.from({ length: WIDTH }, (_, i) => keyedNormal(7, index * WIDTH + i))
/** Some of the pool, and anchors that are worth something, stand out in one direction. */
const near = (index: number) => normal(index).map((value, i) => value + (i === 3 ? 4 : 0))

/** Share of the effective samples after some refreshes; the pool is drawn by `drawn`. */
function essRatioWith(
  anchorOf: (index: number) => number[],
  drawn: (index: number) => number[],
  trust: 'off' | 'halves' | 'separation',
): number {
  using method = createMethod(
    {
      preset: 'adapt-calibrated',
      signal: { refreshEvery: 2 },
      gate: { ess: 0.7, edr: 0.4, warmupRatio: 0, updateEvery: 1, trust },
    },
    { totalSteps: 100 },
  )
  const states = new GivenStates()
  const anchors = states.batch(Array.from({ length: 40 }, (_, v) => anchorOf(10_000 + v)))
  let essRatio = 1
  for (let step = 0; step < 12; step++) {
    const pool = states.batch(Array.from({ length: 64 }, (_, i) => drawn(64 * step + i)))
    scope(() => {
      const facts = states.facts([anchors], step)
      method.beforeStep(facts)
      const { score_S, weight_S } = method.plan([pool], facts).weigh(0, states.look(pool))
      const weights = weight_S.toFloat32Array()
      const sum = weights.reduce((total, w) => total + w, 0)
      essRatio = sum ** 2 / weights.reduce((total, w) => total + w * w, 0) / weights.length
      method.observe(outcomeOf([...score_S.toFloat32Array()], step + 1), facts)
    })
  }
  return essRatio
}

const mixed = (index: number) => (index % 5 === 0 ? near : normal)(index)

describe('a gate that follows trust', () => {
  it.each([
    ['halves', normal],
    ['separation', normal],
    ['separation', mixed],
  ] as const)('comes to uniform weights with anchors that are drawn as the pool is (%s)', (trust, drawn) => {
    expect(essRatioWith(drawn, drawn, 'off')).toBeLessThan(0.8)
    expect(essRatioWith(drawn, drawn, trust)).toBeGreaterThan(0.95)
  })

  it.each(['halves', 'separation'] as const)('stays selective with anchors that stand out (%s)', (trust) => {
    expect(essRatioWith(near, mixed, trust)).toBeLessThan(0.85)
  })
})
