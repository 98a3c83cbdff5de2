import { describe, expect, it } from 'vitest'
import type { PluginState } from '../method/index.js'
import { eventOf, outcomeOf, weigh } from '../method/step-facts.test.fixture.js'
import { afterLift, beforeLift, EssTarget, liftFor } from './ess-target.js'
import { CalibratedSigmoidGate } from './gates.js'

const trustOf = (halves: number, separation = halves) => ({ halves, separation })

describe('EssTarget', () => {
  it('is the one that was asked for, where nothing else is said', () => {
    const target = new EssTarget({ ess: 0.9, trust: 'off' })
    expect(target.see(trustOf(0))).toBeUndefined()
    expect(target.at(0)).toBeCloseTo(0.9, 12)
  })

  it('falls from 1 between two steps', () => {
    const target = new EssTarget({ ess: 0.8, trust: 'off', anneal: { from: 10, to: 50 } })
    expect([0, 10].map((step) => target.at(step))).toEqual([undefined, undefined])
    expect([20, 30, 50, 90].map((step) => target.at(step)!.toFixed(6))).toEqual([
      '0.950000',
      '0.900000',
      '0.800000',
      '0.800000',
    ])
  })

  it('follows trust, smoothed by halves: 0.6, then 0.2, make 0.4', () => {
    const target = new EssTarget({ ess: 0.8, trust: 'halves', anneal: { from: 10, to: 50 } })
    // Nothing is known yet: nothing is trusted.
    expect(target.at(90)).toBeUndefined()
    expect(target.see(trustOf(0.6, -1))).toEqual({ trust: 0.6, smoothed: 0.6 })
    expect(target.at(90)).toBeCloseTo(0.88, 12)
    expect(target.see(trustOf(0.2, -1))?.smoothed).toBeCloseTo(0.4, 12)
    expect(target.at(30)).toBeCloseTo(0.96, 12)
    const separation = new EssTarget({ ess: 0.8, trust: 'separation' })
    separation.see(trustOf(1, 0.5))
    expect(separation.at(0)).toBeCloseTo(0.9, 12)
  })

  it('is 1 where trust is at or below 0', () => {
    const target = new EssTarget({ ess: 0.8, trust: 'halves' })
    for (const rho of [-0.5, 0, 0.2]) {
      target.see(trustOf(rho))
      expect(target.at(90)).toBeUndefined()
    }
  })
})

describe('a floor', () => {
  it('has the worked numbers: floor 0.25 of a mean of 0.5 at 0.95', () => {
    const lift = liftFor(0.25, 0.5)
    expect(lift).toEqual({ a: 0.125, b: 0.875 })
    const sigmoid = beforeLift({ edr: 0.5, ess: 0.95 }, lift)
    expect(sigmoid.edr).toBeCloseTo(0.428571, 6)
    expect(sigmoid.ess).toBeCloseTo(0.9144385, 6)
    expect(afterLift(sigmoid, lift).edr).toBeCloseTo(0.5, 12)
    expect(afterLift(sigmoid, lift).ess).toBeCloseTo(0.95, 12)
  })

  it('keeps every weight above its share of the mean, and the targets too', () => {
    const scores = Float64Array.from({ length: 200 }, (_, i) => Math.sin(i * 1.7) ** 3 / 2)
    const gate = new CalibratedSigmoidGate({ ess: 0.7, edr: 0.4, floor: 0.3, warmupSteps: 1 })
    gate.observe(outcomeOf(scores, 1))
    expect(eventOf(gate, 'calibration')).toMatchObject({ reached: true, targetEss: 0.7, targetEdr: 0.4 })
    const weights = weigh(gate, scores)
    const sum = weights.reduce((total, w) => total + w)
    const squares = weights.reduce((total, w) => total + w * w, 0)
    expect(sum / weights.length).toBeCloseTo(0.4, 2)
    expect(sum ** 2 / squares / weights.length).toBeCloseTo(0.7, 2)
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0.12)
    expect(Math.max(...weights)).toBeLessThanOrEqual(1)
    // Without one, some weight is below.
    const free = new CalibratedSigmoidGate({ ess: 0.7, edr: 0.4, warmupSteps: 1 })
    free.observe(outcomeOf(scores, 1))
    expect(Math.min(...weigh(free, scores))).toBeLessThan(0.05)
  })
})

describe('a calibrated gate that follows trust', () => {
  const scores = Float64Array.from({ length: 50 }, (_, i) => Math.sin(i * 1.7) / 2)
  const options = {
    ...({ ess: 0.7, edr: 0.4, warmupSteps: 1, updateEvery: 2, trust: 'halves' } as const),
    anneal: { from: 1, to: 9 },
  } as const
  const targetOf = (gate: CalibratedSigmoidGate) => eventOf(gate, 'calibration')?.targetEss

  it('weighs with 1 before a word of trust, solves for what it hears, and lets go again', () => {
    const gate = new CalibratedSigmoidGate({ ...options, anneal: undefined })
    gate.observe(outcomeOf(scores, 1))
    expect(targetOf(gate)).toBeUndefined()
    expect(new Set(weigh(gate, scores))).toEqual(new Set([1]))
    gate.trust(trustOf(0.5), 2)
    expect(eventOf(gate, 'trust')).toEqual({ halves: 0.5, separation: 0.5, smoothed: 0.5, targetEss: 0.85 })
    gate.rescore(scores, 2)
    expect(targetOf(gate)).toBeCloseTo(0.85, 12)
    expect(new Set(weigh(gate, scores)).size).toBeGreaterThan(10)
    gate.trust(trustOf(-0.6), 3)
    gate.rescore(scores, 3)
    expect(new Set(weigh(gate, scores))).toEqual(new Set([1]))
  })

  it('goes on from its state as if nothing had happened', () => {
    const gate = new CalibratedSigmoidGate(options)
    const step = (of: CalibratedSigmoidGate, n: number) => {
      if (n % 3 === 0) of.trust(trustOf(n / 10), n)
      of.observe(
        outcomeOf(
          scores.map((score) => score + n / 100),
          n,
        ),
      )
      return [of.takeEvents(), weigh(of, scores)]
    }
    for (let n = 1; n <= 5; n++) step(gate, n)
    const copy = new CalibratedSigmoidGate(options)
    const { json, tensors } = gate.state()
    copy.load({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
    for (let n = 6; n <= 12; n++) expect(step(copy, n)).toEqual(step(gate, n))
  })
})
