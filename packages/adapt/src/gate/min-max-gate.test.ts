import { describe, expect, it } from 'vitest'
import { outcomeOf, weigh } from '../method/step-facts.test.fixture.js'
import { minMaxGate, RunningMinMaxGate } from './min-max-gate.js'

const close = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-6)
}
const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
const GAINS = [0.4, 0.1, -0.2, 1]
const gate = minMaxGate.create({}, {} as never)

describe('minMaxGate', () => {
  it('gives the worked weights, losses and effective sample size', () => {
    const weights = weigh(gate, GAINS)
    close(weights, [0.5, 0.25, 0, 1])
    const sum = total([2, 3, 1.5, 2.5].map((loss, i) => loss * weights[i]!))
    close([sum, sum / 4, sum / total(weights)], [4.25, 1.0625, 17 / 7])
    close([total(weights) ** 2 / total(weights.map((w) => w * w))], [7 / 3])
  })

  it('weighs scores alike that are equal, or equal but for rounding', () => {
    for (const scores of [[0.3], [2, 2, 2], [1, 1 + 2e-7, 1]])
      close(
        weigh(gate, scores),
        scores.map(() => 1),
      )
  })

  it('has no unit of its own: the smallest scores are told apart', () => {
    for (const unit of [1e-9, 1e9]) {
      const scores = GAINS.map((gain) => unit * gain)
      close(weigh(gate, scores), [0.5, 0.25, 0, 1])
    }
    close(weigh(gate, [0, 0]), [1, 1])
  })

  it('gives no weight where a score is not a number', () => {
    expect(weigh(gate, [1, Number.NaN, 2])).toEqual([Number.NaN, Number.NaN, Number.NaN])
  })
})

describe('RunningMinMaxGate', () => {
  /** Quantiles of 1 % and 99 % on a straight line between sorted values: here -0.5 and 1. */
  const seen = Array.from({ length: 101 }, (_, i) => -0.5 + (1.5 * (i - 1)) / 98)
  const after = (...steps: readonly (readonly [readonly number[], boolean])[]) => {
    const running = new RunningMinMaxGate()
    for (const [i, [scores, wasFinite]] of steps.entries()) running.observe(outcomeOf(scores, i, wasFinite))
    return running
  }

  it('gives the worked weights between bounds of -0.5 and 1, whatever else is in the step', () => {
    const running = after([seen, true])
    close(weigh(running, GAINS), [0.6, 0.4, 0.2, 1])
    close(weigh(running, [0.4]), [0.6])
    close(weigh(running, [-3, 7]), [0, 1])
  })

  it('weighs all alike before it has seen a step, and while all scores are alike', () => {
    close(weigh(new RunningMinMaxGate(), GAINS), [1, 1, 1, 1])
    close(weigh(after([[2, 2, 2], true]), [2, 5]), [1, 1])
  })

  it('keeps nothing of a step that was not finite, and the last 4096 scores alone', () => {
    const found = weigh(after([seen, true], [[100, 200], false]), GAINS)
    close(found, [0.6, 0.4, 0.2, 1])
    const old = Array.from({ length: 4096 }, (_, i) => 100 + i)
    const many = Array.from({ length: 4096 }, (_, i) => seen[i % 101]!)
    expect(weigh(after([old, true], [many, true]), GAINS)).toEqual(weigh(after([many, true]), GAINS))
  })

  it('goes on from its state, and forgets scores that mean something else now', () => {
    const running = after([seen, true])
    const resumed = new RunningMinMaxGate()
    resumed.load(JSON.parse(JSON.stringify({ json: running.state().json })))
    close(weigh(resumed, GAINS), [0.6, 0.4, 0.2, 1])
    resumed.rescore(Float64Array.of(0, 1, 2))
    expect(weigh(resumed, [-1, 3])).toEqual([0, 1])
  })
})
