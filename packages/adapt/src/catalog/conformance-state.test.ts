import { describe, expect, it } from 'vitest'
import { relativeDistance } from '../model/tiny-llama.test.fixture.js'
import {
  CASES,
  type ConformanceCase,
  type ConformanceResult,
  ConformanceRun,
  runCase,
  WHOLE,
} from './conformance.test.fixture.js'
import { snapshotOf } from './watched-method.test.fixture.js'

/** Of the pool: without labels, and the one that the model chokes on. */
const UNLABELLED = 6
const BAD = 60
/** Of one source alone. */
const OF_ONE_SOURCE = [1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 20, 22, 23, 25, 26, 28, 29, 31]

const whole = new Map<string, ConformanceResult>()
/** The first of two runs that are to be the same, and what the packed one is compared with. */
const wholeOf = (of: ConformanceCase): ConformanceResult => {
  const found = whole.get(of.name) ?? runCase(of, WHOLE)
  whole.set(of.name, found)
  return found
}

describe.each(CASES.map((of) => [of.name, of] as const))('%s', (_, of) => {
  it('gives numbers >= 0 of the right shape without gradient, and the same in a second run', () => {
    const [one, two] = [wholeOf(of), runCase(of, WHOLE)]
    expect(one.faults).toEqual([])
    expect(two.losses).toEqual(one.losses)
    expect(two.parameters).toEqual(one.parameters)
  })

  it('goes on from what it saved between two steps as if nothing had happened', () => {
    using whole = new ConformanceRun(of)
    whole.steps(3)
    const saved = whole.save()
    whole.steps(5)
    using resumed = new ConformanceRun(of)
    resumed.load(saved).steps(5)
    expect(resumed.losses).toEqual(whole.losses.slice(3))
    expect(resumed.parameters()).toEqual(whole.parameters())
    expect(snapshotOf(resumed.method)).toEqual(snapshotOf(whole.method))
  })

  it('trains a step of one sample, one with a sample without labels, and one of a single source', () => {
    using run = new ConformanceRun(of)
    for (const samples of [[0], [UNLABELLED, 0, 1, 2, 3, 4, 5], [UNLABELLED], OF_ONE_SOURCE]) {
      const { record, totals } = run.step(samples)
      expect([record.lossWeighted, record.gradNorm].every(Number.isFinite)).toBe(true)
      const unlabelled = totals.samples.filter(({ tokens }) => tokens === 0)
      expect(unlabelled.every(({ loss }) => loss === 0)).toBe(true)
    }
    expect(run.watch.faults).toEqual([])
  })

  it('keeps nothing of a step that was not finite', () => {
    using run = new ConformanceRun(of)
    run.steps(2)
    const before = run.parameters()
    run.poison()
    const { record, totals } = run.step([0, 1, 2, 3, BAD, ...run.nextSamples().slice(4)])
    expect([record.skipped, totals.isFinite]).toEqual([true, false])
    expect(snapshotOf(run.method)).toEqual(run.watch.begun)
    for (const [name, values] of run.parameters())
      if (name !== 'model.embed_tokens.weight') expect(values).toEqual(before.get(name))
  })

  it('finds the same losses and weights whether samples share rows or not', () => {
    const [apart, packed] = [wholeOf(of), runCase(of, { ...WHOLE, packing: true })]
    expect(relativeDistance(packed.losses, apart.losses)).toBeLessThan(1e-5)
    const ids = [...apart.weights.keys()]
    const weightsOf = ({ weights }: typeof apart) => ids.map((id) => weights.get(id)!)
    expect(relativeDistance(weightsOf(packed), weightsOf(apart))).toBeLessThan(1e-5)
  })
})
