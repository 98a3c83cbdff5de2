import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import type { PluginState } from '../method/index.js'
import { eventOf, outcomeOf, weigh } from '../method/step-facts.test.fixture.js'
import { CalibratedSigmoidGate, createIdentityGate, createSigmoidGate, createSoftmaxGate } from './gates.js'

/** The constants that this step leaves new; undefined when they stay. */
function observe(gate: CalibratedSigmoidGate, scores: ArrayLike<number>, step: number) {
  gate.observe(outcomeOf(scores, step))
  return eventOf(gate, 'calibration') as { mu: number; tau: number; reached: boolean } | undefined
}

function rescore(gate: CalibratedSigmoidGate, scores: Float64Array, step: number) {
  gate.rescore(scores, step)
  return eventOf(gate, 'calibration')
}

const expectClose = (actual: readonly number[], expected: readonly number[], digits = 6) => {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, digits)
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
const essRatio = (w: readonly number[]) => mean(w) ** 2 / mean(w.map((x) => x * x))

const scores = [0.82, 0.1, -0.35, 0.55]

describe('the sigmoid gate', () => {
  it('gives the worked weights at temperature 1', () => {
    const weights = weigh(createSigmoidGate(), scores)
    expectClose(weights, [0.694236, 0.524979, 0.413382, 0.634136])
    expect(mean(weights)).toBeCloseTo(0.566683, 6)
    expect(essRatio(weights)).toBeCloseTo(0.965384, 6)
  })

  it('gives the worked weights at temperature 0.1', () => {
    const weights = weigh(createSigmoidGate({ temperature: 0.1 }), scores)
    expectClose(weights, [0.999725, 0.731059, 0.029312, 0.99593])
    expect(mean(weights)).toBeCloseTo(0.689007, 6)
    expect(essRatio(weights)).toBeCloseTo(0.751561, 6)
  })

  it.each([
    [1, 0.653093],
    [0.5, 0.779941],
    [0.1, 0.998215],
  ])('weighs the score 0.632662 at temperature %d with %d', (temperature, expected) => {
    expectClose(weigh(createSigmoidGate({ temperature }), [0.632662]), [expected])
  })

  it('keeps cosines at temperature 1 between 0.268941 and 0.731059', () => {
    expectClose(weigh(createSigmoidGate(), [-1, 1]), [0.268941, 0.731059])
  })

  it('clips', () => {
    const gate = createSigmoidGate({ temperature: 0.1, wMin: 0.2, wMax: 0.9 })
    expectClose(weigh(gate, scores), [0.9, 0.731059, 0.2, 0.9])
  })

  it('goes to one half for every score as the temperature grows', () => {
    expect(weigh(createSigmoidGate({ temperature: 1e9 }), scores)).toEqual([0.5, 0.5, 0.5, 0.5])
  })

  it('stays finite at the smallest temperature', () => {
    expect(weigh(createSigmoidGate({ temperature: 1e-300 }), [-1, 0, 1])).toEqual([0, 0.5, 1])
  })

  it.each([
    { temperature: 0 },
    { temperature: -1 },
    { temperature: Number.NaN },
    { wMin: -0.1 },
    { wMin: 1, wMax: 1 },
  ])('refuses %o', (options) => {
    expect(() => createSigmoidGate(options)).toThrow(ConfigError)
  })
})

describe('the softmax gate', () => {
  it('gives the worked shares, times their number', () => {
    const shares = [0.390549, 0.190101, 0.121213, 0.298137]
    expectClose(
      weigh(createSoftmaxGate(), scores),
      shares.map((share) => 4 * share),
      5,
    )
  })

  it('averages to 1 and does not see a shift of all scores', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (some) => {
          const weights = weigh(createSoftmaxGate({ temperature: 0.3 }), some)
          expect(mean(weights)).toBeCloseTo(1, 5)
          expectClose(
            weigh(
              createSoftmaxGate({ temperature: 0.3 }),
              some.map((score) => score + 1),
            ),
            weights,
            4,
          )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('needs the scores of the whole step and refuses temperature 0', () => {
    expect(createSoftmaxGate().view).toBe('step')
    expect(() => createSoftmaxGate({ temperature: 0 })).toThrow(ConfigError)
  })
})

describe('the identity gate', () => {
  it('hands the score through, but never a negative weight', () => {
    expect(weigh(createIdentityGate(), [1, 0.5, 0, -0.5])).toEqual([1, 0.5, 0, 0])
  })
})

describe('the calibrated sigmoid gate', () => {
  const worked = Float64Array.from([0.62, 0.64, 0.65, 0.66, 0.68, 0.7, 0.71, 0.75])

  it('weighs everything with 1 until its warm-up is over', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 3 })
    for (const step of [1, 2]) {
      expect(observe(gate, worked, step)).toBeUndefined()
      expect(weigh(gate, scores)).toEqual([1, 1, 1, 1])
    }
    expect(observe(gate, worked, 3)).toMatchObject({ reached: true })
    expect(weigh(gate, scores)).not.toEqual([1, 1, 1, 1])
  })

  it('gives the worked constants for targets 0.5 and 0.8, to the width of a bin', () => {
    const gate = new CalibratedSigmoidGate({ ess: 0.8, edr: 0.5, warmupSteps: 1 })
    const { tau, mu } = observe(gate, worked, 1)!
    expect(tau).toBeCloseTo(0.03194, 2)
    expect(mu).toBeCloseTo(0.674748, 3)
    const weights = weigh(gate, [...worked])
    expect(Math.abs(mean(weights) - 0.5)).toBeLessThan(5e-3)
    expect(Math.abs(essRatio(weights) - 0.8)).toBeLessThan(5e-3)
  })

  it('recalibrates every so many steps, and at once when the scores of a refreshed signal come in', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 1, updateEvery: 4 })
    const when: number[] = []
    for (let step = 1; step <= 12; step++) if (observe(gate, worked, step)) when.push(step)
    expect(when).toEqual([1, 4, 8, 12])
    const shifted = worked.map((score) => score - 0.5)
    expect(rescore(gate, shifted, 13)!.mu).toBeCloseTo(0.675 - 0.5, 2)
    expect(Math.abs(mean(weigh(gate, [...shifted])) - 0.5)).toBeLessThan(5e-3)
  })

  it('keeps weight 1 while all scores are equal and no temperature can reach the target', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 1 })
    expect(observe(gate, new Float64Array(8), 1)).toMatchObject({ reached: false })
    expect(weigh(gate, scores)).toEqual([1, 1, 1, 1])
    expect(observe(gate, worked, 2)).toMatchObject({ reached: true })
  })

  it('keeps its last constants when later scores are all equal', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 1, updateEvery: 1 })
    const first = observe(gate, worked, 1)!
    expect(rescore(gate, new Float64Array(50).fill(0.1), 2)).toEqual({
      ...first,
      numScores: 50,
      reached: false,
    })
    expect(Math.abs(mean(weigh(gate, [...worked])) - 0.5)).toBeLessThan(5e-3)
  })

  it('counts no NaN score', () => {
    const clean = new CalibratedSigmoidGate({ warmupSteps: 1 })
    const soiled = new CalibratedSigmoidGate({ warmupSteps: 1 })
    expect(observe(soiled, [...worked, Number.NaN], 1)).toEqual(observe(clean, worked, 1))
  })

  it('keeps nothing of a step that was not finite', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 1, updateEvery: 1 })
    observe(gate, worked, 1)
    const before = gate.state()
    gate.observe(outcomeOf([0.1, 0.2, Number.NaN], 2, false))
    expect(gate.takeEvents()).toEqual([])
    expect(gate.state()).toEqual(before)
    observe(gate, [0.1, 0.2], 3)
    expect(gate.state()).not.toEqual(before)
  })

  it('does not depend on how the scores of a step are ordered or split over ranks', () => {
    const a = new CalibratedSigmoidGate({ warmupSteps: 1 })
    const b = new CalibratedSigmoidGate({ warmupSteps: 1 })
    expect(observe(b, worked.toReversed(), 1)).toEqual(observe(a, worked, 1))
  })

  it('continues from its state as if nothing had happened', () => {
    const gate = new CalibratedSigmoidGate({ warmupSteps: 2, updateEvery: 3 })
    for (let step = 1; step <= 4; step++) observe(gate, worked, step)
    const copy = new CalibratedSigmoidGate({ warmupSteps: 2, updateEvery: 3 })
    const { json, tensors } = gate.state()
    copy.load({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
    for (let step = 5; step <= 9; step++) {
      const next = worked.map((score) => score - step / 100)
      expect(observe(copy, next, step)).toEqual(observe(gate, next, step))
      expect(weigh(copy, scores)).toEqual(weigh(gate, scores))
    }
  })

  it('refuses an effective sample size at or below the mean weight', () => {
    expect(() => new CalibratedSigmoidGate({ ess: 0.5, edr: 0.5, warmupSteps: 0 })).toThrow(ConfigError)
  })
})
