import { optim, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { NORMALIZERS, type Normalizer } from '../loss/index.js'
import type { Method } from '../method/index.js'
import {
  batchOf,
  createTinyLlama,
  gradientValues,
  parameterValues,
  type TestSample,
  wholeDistance,
} from '../model/tiny-llama.test.fixture.js'
import { plainBackward } from './plain-backward.test.fixture.js'
import { createCase, methodOf, methodWith, rowsOfStep } from './training-case.test.fixture.js'

/** Fixed weights, in the order of the batch. */
const fixedMethod = (weights: readonly number[], normalizer: Normalizer): Method =>
  methodWith(
    { gate: { weights: (_, { device }) => tensor([...weights], [weights.length], { device }) } },
    normalizer,
  )

/** Gradients and samples of one step at a learning rate of 0. */
function gradientsOf(method: Method, batch: Batch, model = createTinyLlama()) {
  using training = createCase(method, { model, learningRate: 0, maxGradNorm: undefined })
  const { totals } = training.step([batch]).events
  return { gradients: gradientValues(training.model), totals }
}

describe('weights of exactly 1', () => {
  it.each([
    true,
    false,
  ])('train like plain autograd over cross_entropy_loss and AdamW (tied head: %s)', (tied) => {
    const options = { tieWordEmbeddings: tied, initializerRange: 0.1 }
    const plain = createTinyLlama(options)
    const adamw = new optim.AdamW(optim.decayGroups(plain.parameters(), 0.1), {
      learningRate: 0.01,
      beta2: 0.95,
    })
    using training = createCase(methodOf({ preset: 'uniform', normalizer: 'token.mean' }), {
      model: createTinyLlama(options),
      schedule: 'constant',
    })
    for (let step = 0; step < 4; step++) {
      const batch = batchOf(rowsOfStep(step))
      plain.zeroGrad()
      const loss = plainBackward(plain, batch)
      const { record } = training.step([batch])
      expect(Math.abs(record.lossWeighted / loss - 1)).toBeLessThan(1e-6)
      if (step === 0)
        expect(wholeDistance(gradientValues(training.model), gradientValues(plain))).toBeLessThan(1e-6)
      adamw.step()
    }
    expect(wholeDistance(parameterValues(training.model), parameterValues(plain))).toBeLessThan(1e-6)
    adamw.dispose()
    plain.dispose()
  })
})

describe('a weight is a constant for the gradient', () => {
  it.each(NORMALIZERS)('bit for bit (%s)', (normalizer) => {
    const batch = batchOf(rowsOfStep(0))
    const adapt = gradientsOf(methodOf({ preset: 'adapt', gate: { temperature: 0.1 }, normalizer }), batch)
    const weights = adapt.totals.samples.map(({ weight }) => weight)
    expect(new Set(weights).size).toBe(weights.length)
    expect(gradientsOf(fixedMethod(weights, normalizer), batch).gradients).toEqual(adapt.gradients)
  })
})

describe('a temperature towards infinity', () => {
  const train = (method: Method) => {
    using training = createCase(method)
    for (let step = 0; step < 4; step++) training.step([batchOf(rowsOfStep(step))])
    return parameterValues(training.model)
  }
  it.each([
    'sample.wmean',
    'token.wmean',
  ] as const)('trains exactly like uniform weights (%s)', (normalizer) => {
    const uniform = train(methodOf({ preset: 'uniform', normalizer }))
    expect(train(methodOf({ preset: 'adapt', gate: { temperature: 1e9 }, normalizer }))).toEqual(uniform)
  })

  it.each([
    'sample.mean',
    'token.mean',
  ] as const)('gives half the gradient of uniform weights (%s)', (normalizer) => {
    const batch = batchOf(rowsOfStep(0))
    const { gradients } = gradientsOf(methodOf({ preset: 'uniform', normalizer }), batch)
    const halves = new Map(
      Array.from(gradients, ([name, values]) => [name, values.map((value) => value / 2)]),
    )
    const found = gradientsOf(methodOf({ preset: 'adapt', gate: { temperature: 1e9 }, normalizer }), batch)
    expect(found.gradients).toEqual(halves)
  })
})

describe('weights that are 7 times as large', () => {
  const step = (factor: number, learningRate: number) => {
    const weights = [0.3, 0.9, 0.5, 0.7, 0.1].map((weight) => weight * factor)
    using training = createCase(fixedMethod(weights, 'sample.mean'), {
      learningRate,
      maxGradNorm: undefined,
      adamEpsilon: 1e-30,
    })
    for (let n = 0; n < 3; n++) training.step([batchOf(rowsOfStep(n))])
    return { parameters: parameterValues(training.model), gradients: gradientValues(training.model) }
  }

  it('leave the parameters under AdamW where they were', () => {
    const before = parameterValues(createTinyLlama())
    const once = step(1, 0.01).parameters
    expect(wholeDistance(step(7, 0.01).parameters, once)).toBeLessThan(1e-5)
    expect(wholeDistance(once, before)).toBeGreaterThan(1e-3)
  })

  it('give 7 times the gradient, and so 7 times the step of plain gradient descent', () => {
    const once = step(1, 0).gradients
    const seven = new Map(Array.from(once, ([name, values]) => [name, values.map((value) => value * 7)]))
    expect(wholeDistance(step(7, 0).gradients, seven)).toBeLessThan(1e-6)
  })
})

describe('the static weight of a record', () => {
  const [row0, row1, row2] = rowsOfStep(3) as [TestSample[], TestSample[], TestSample[]]
  const weighted = (row: readonly TestSample[], weight: number) =>
    row.map((sample) => ({ ...sample, weight }))
  const both = (preset: 'uniform' | 'adapt', normalizer: Normalizer, rows: readonly TestSample[][]) => {
    const { gradients, totals } = gradientsOf(methodOf({ preset, normalizer }), batchOf(rows))
    return { gradients, loss: totals.lossWeighted }
  }

  it.each(
    (['uniform', 'adapt'] as const).flatMap((preset) =>
      (['sample.wmean', 'token.wmean'] as const).map((normalizer) => ({ preset, normalizer })),
    ),
  )('of 2 is a second copy and of 0 a removed sample: %o', ({ preset, normalizer }) => {
    const found = both(preset, normalizer, [weighted(row0, 1), weighted(row1, 2), weighted(row2, 0)])
    const expected = both(preset, normalizer, [row0, row1, row1])
    expect(Math.abs(found.loss / expected.loss - 1)).toBeLessThan(1e-6)
    expect(wholeDistance(found.gradients, expected.gradients)).toBeLessThan(2e-6)
  })

  it('is no part of the weight that statistics are made of', () => {
    const { totals } = gradientsOf(methodOf({ preset: 'uniform' }), batchOf([weighted(row0, 5)]))
    expect(totals.samples.map(({ weight, sampleWeight }) => [weight, sampleWeight])).toEqual([
      [1, 5],
      [1, 5],
    ])
  })
})
