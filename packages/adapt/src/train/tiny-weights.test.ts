import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { NORMALIZERS, type Normalizer } from '../loss/index.js'
import type { Gate, Method } from '../method/index.js'
import { batchOf, gradientValues, parameterValues, wholeDistance } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf, methodWith, rowsOfStep } from './training-case.test.fixture.js'

/** A gate whose weights change from call to call, as those of a cold gate do from micro-batch to micro-batch. */
function gateOf(weights: readonly number[]): Gate {
  let calls = 0
  return {
    weights: ({ score }) => {
      const weight = weights[calls++ % weights.length]!
      return tensor(new Float32Array(score.numel).fill(weight), [score.numel], { device: score.device })
    },
  }
}

const withGate = (weights: readonly number[], normalizer: Normalizer): Method =>
  methodWith({ gate: gateOf(weights) }, normalizer)

const ROWS = rowsOfStep(1)
const micro = ROWS.map((row) => batchOf([row]))
const MAX_NORM = 0.01

/** One step whose gradients are left as the optimiser got them. */
function stepOf(weights: readonly number[], normalizer: Normalizer, { maxGradNorm = MAX_NORM } = {}) {
  using training = createCase(withGate(weights, normalizer), { maxGradNorm })
  const { record } = training.step(micro)
  return { record, gradients: gradientValues(training.model), parameters: parameterValues(training.model) }
}

const normOf = (gradients: ReadonlyMap<string, Float32Array>) =>
  Math.sqrt([...gradients.values()].flatMap((g) => [...g]).reduce((total, value) => total + value * value, 0))

describe.each([
  'sample.wmean',
  'token.wmean',
] as const)('weights that are all tiny under %s', (normalizer) => {
  it.each([1e-12, 1e-25, 1e-35, 1e-38, 1e-42, 1e20, 1e30])('(%d) train as weights of 1 do', (weight) => {
    const plain = stepOf([1], normalizer)
    const found = stepOf([weight], normalizer)
    expect(found.record.skipped).toBe(false)
    expect(found.record.gradNorm).toBeGreaterThan(MAX_NORM)
    expect(Math.abs(found.record.gradNorm / plain.record.gradNorm - 1)).toBeLessThan(1e-5)
    expect(wholeDistance(found.gradients, plain.gradients)).toBeLessThan(1e-5)
    expect(Math.abs(normOf(found.gradients) / MAX_NORM - 1)).toBeLessThan(1e-3)
  })

  it('in some micro-batches only leave the gradient to the others, in any order', () => {
    const large = stepOf([0, 1, 0, 1], normalizer)
    for (const tiny of [1e-10, 1e-30, 1e-38, 1e-44]) {
      const found = stepOf([tiny, 1, tiny, 1], normalizer)
      expect(found.record.skipped).toBe(false)
      expect(wholeDistance(found.gradients, large.gradients)).toBeLessThan(1e-5)
    }
    expect(wholeDistance(stepOf([0, 1e-30], normalizer).gradients, large.gradients)).toBeLessThan(1e-5)
  })
})

describe.each(['sample.mean', 'token.mean'] as const)('weights that are all tiny under %s', (normalizer) => {
  it('make a gradient as small as they are', () => {
    const plain = stepOf([1], normalizer, { maxGradNorm: 1e6 })
    const found = stepOf([1e-6], normalizer, { maxGradNorm: 1e6 })
    expect(Math.abs((found.record.gradNorm * 1e6) / plain.record.gradNorm - 1)).toBeLessThan(1e-5)
    // Less than float32 can square: its norm is 0, its update is nothing, and no parameter is lost.
    const least = stepOf([1e-40], normalizer)
    expect(least.record.gradNorm).toBeLessThan(1e-30)
    expect([...least.parameters.values()].every((values) => values.every(Number.isFinite))).toBe(true)
  })
})

describe.each(NORMALIZERS)('static weights under %s', (normalizer) => {
  it.each([1e-39, 1e-300, 1e39])('of %d each never make a parameter that is no number', (weight) => {
    using training = createCase(methodOf({ preset: 'uniform', normalizer }))
    const rows = ROWS.map((row) => batchOf([row.map((sample) => ({ ...sample, weight }))]))
    const { record } = training.step(rows)
    const values = [...parameterValues(training.model).values()]
    expect(values.every((list) => list.every(Number.isFinite))).toBe(true)
    if (normalizer.endsWith('wmean')) expect(record.gradNorm).toBeGreaterThan(0)
  })
})

describe('a gradient that float32 cannot hold', () => {
  it('is seen before the optimiser moves', () => {
    using training = createCase(withGate([Number.POSITIVE_INFINITY], 'sample.mean'))
    const before = parameterValues(training.model)
    const { record } = training.step(micro)
    expect(record.skipped).toBe(true)
    expect(scope(() => parameterValues(training.model))).toEqual(before)
  })
})
