import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { createSoftmaxGate } from '../gate/index.js'
import { minMaxSoftmax } from '../gate/min-max-softmax.js'
import { composeMethod, type Gate, type Method } from '../method/index.js'
import { compositionOf, stepFacts } from '../method/step-facts.test.fixture.js'
import { type BatchJson, batchOfJson, openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { gradientValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { lossSignal } from '../signal/loss-signal.js'
import { createCase } from './training-case.test.fixture.js'

/** One whole step at a learning rate of 0: gradients stay those of the loss. */
function stepOf(method: Method, modelFolder: string, batches: readonly Batch[]) {
  using training = createCase(method, {
    model: loadModelFolder(modelFolder),
    anchors: [],
    learningRate: 0,
    lossChunkSize: 6,
  })
  const { record, events } = training.step(batches)
  return { record, totals: events.totals, gradients: gradientValues(training.model) }
}

interface LossGatesValues {
  readonly batch: BatchJson
  readonly labelled: readonly number[]
  readonly losses: readonly number[]
  readonly family: Readonly<Record<string, { weights: number[]; loss: number; lengthLoss: number }>>
  readonly irDro: Readonly<Record<string, { weights: number[]; loss: number; microBatchLoss: number }>>
}

const golden = openGolden<LossGatesValues>('loss-gates')
const { labelled, losses, family, irDro } = golden.values
const batch = batchOfJson(golden.values.batch)

const MIN_MAX = {
  shape: 'linupper',
  delta: 1,
  r: 1,
  burnIn: 0,
  constants: 'scaled',
  lengthNorm: false,
} as const
const methodOf = (gate: Gate, normalizer: 'sample.wmean' | 'sample.mean' = 'sample.wmean') => {
  const signal = lossSignal.create!({}, stepFacts(), {})
  return composeMethod(compositionOf({ signal, gate, view: 'step', normalizer, needs: lossSignal.needs({}) }))
}
const minMax = (options: Partial<Parameters<typeof minMaxSoftmax.create>[0]>) =>
  minMaxSoftmax.create({ ...MIN_MAX, ...options }, stepFacts())

const expectNear = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  expect(relativeDistance(actual, expected)).toBeLessThan(golden.tolerance)

/** Weights of the samples with labels as shares, and the loss of the step. */
function outcomeOf(method: Method) {
  const { totals, gradients } = stepOf(method, golden.modelFolder, [batch])
  const weights = labelled.map((i) => totals.samples[i]!.weight)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  expect(totals.samples.filter(({ tokens }) => tokens === 0).map(({ weight }) => weight)).toEqual([0])
  expect(totals.scoredTokens).toBe(0)
  return { totals, gradients, shares: weights.map((weight) => weight / total), mean: total / weights.length }
}

describe('a step weighed by its losses against the reference', () => {
  it('scores samples by their mean losses', () => {
    const { totals } = outcomeOf(methodOf(createSoftmaxGate()))
    expectNear(
      labelled.map((i) => totals.samples[i]!.score),
      losses,
    )
  })

  it.each(Object.keys(family))('has the weights and loss of %s, whose weights sum to 1', (name) => {
    const [shape, r] = [name.slice(0, name.indexOf('.')), Number(name.slice(name.indexOf('.') + 1))]
    const expected = family[name]!
    const options = { shape: shape as 'linupper', r }
    const { shares, mean, totals } = outcomeOf(methodOf(minMax(options)))
    expectNear(shares, expected.weights)
    expect(mean).toBeCloseTo(1, 6)
    expectNear([totals.lossWeighted], [expected.loss])
    const longer = outcomeOf(methodOf(minMax({ ...options, lengthNorm: true }), 'sample.mean'))
    expectNear([longer.totals.lossWeighted], [expected.lengthLoss])
  })

  it.each(Object.keys(irDro))('has the weights and loss of IR-DRO at lambda %s', (lambda) => {
    const expected = irDro[lambda]!
    const { shares, totals } = outcomeOf(methodOf(createSoftmaxGate({ temperature: Number(lambda) })))
    expectNear(shares, expected.weights)
    expectNear([totals.lossWeighted], [expected.loss])
  })

  it('has the gradients of LinUpper and of IR-DRO, through the losses alone', () => {
    const linupper = outcomeOf(methodOf(minMax({ r: 0.4 }))).gradients
    const irDro = outcomeOf(methodOf(createSoftmaxGate({ temperature: 0.25 }))).gradients
    for (const [name, gradients] of [
      ['linupper', linupper],
      ['ir-dro', irDro],
    ] as const) {
      const expected = golden.file(`gradients-${name}.safetensors`).all('grad.')
      expect(worstDistance(gradients, expected)).toBeLessThan(golden.tolerance)
    }
  })
})
