import { zeros } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import type { MethodInput } from '../catalog/index.js'
import { NumericError } from '../errors.js'
import { createIdentityGate } from '../gate/index.js'
import { NORMALIZERS, type Normalizer } from '../loss/index.js'
import type { Gate } from '../method/index.js'
import {
  batchOf,
  fillRow,
  gradientValues,
  parameterValues,
  relativeDistance,
  wholeDistance,
} from '../model/tiny-llama.test.fixture.js'
import type { StepRecord } from '../record/index.js'
import {
  createCase,
  methodOf,
  methodWith,
  rowsOfStep,
  type TrainingCase,
} from './training-case.test.fixture.js'

const METHODS: Readonly<Record<string, MethodInput>> = {
  uniform: { preset: 'uniform' },
  adapt: { preset: 'adapt', signal: { refresh_every: 2 } },
  'adapt-calibrated': {
    preset: 'adapt-calibrated',
    gate: { warmup_ratio: 0.05, update_every: 1 },
    signal: { refresh_every: 2 },
  },
  'softmax gate': { preset: 'adapt', gate: { kind: 'softmax' } },
}
const METHOD_LIST = Object.entries(METHODS)

/** Parameters and moments, to the bit. */
function stateOf({ model, trainer }: TrainingCase) {
  const { steps, tensors } = trainer.optimizer.state()
  return {
    steps: [...steps],
    parameters: parameterValues(model),
    moments: new Map(Array.from(tensors, ([name, moment]) => [name, moment.toFloat32Array()])),
  }
}

/** Every number of a record. */
function numbersOf(record: object): number[] {
  const flatten = (value: unknown): number[] => {
    if (typeof value === 'number') return [value]
    return value !== null && typeof value === 'object' ? Object.values(value).flatMap(flatten) : []
  }
  return flatten(record)
}

const normal = (step: number) => batchOf(rowsOfStep(step))
const UNLABELLED = { tokens: [7, 8, 9], labelsFrom: 3, id: 'prompt-only' }
const unlabelled = batchOf([[UNLABELLED], [{ tokens: [5] }]])

function expectUntouched(training: TrainingCase, batches: readonly Batch[]): StepRecord {
  const before = stateOf(training)
  const { record } = training.step(batches)
  expect(record.skipped).toBe(true)
  expect(stateOf(training)).toEqual(before)
  return record
}

describe.each(METHOD_LIST)('samples without labels under %s', (_, method) => {
  it.each(NORMALIZERS)('change neither loss nor gradients of the others (%s)', (normalizer) => {
    const run = (extra: boolean) => {
      using training = createCase(methodOf({ ...method, normalizer }), {
        learningRate: 0,
        maxGradNorm: undefined,
      })
      const rows = rowsOfStep(1)
      const batch = batchOf(extra ? [[UNLABELLED], ...rows, [{ tokens: [4] }]] : rows)
      const { record, events } = training.step([batch])
      expect(numbersOf(record).every(Number.isFinite)).toBe(true)
      expect(record.numSamples).toBe(5)
      const { samples } = events.totals
      expect(samples.filter(({ tokens }) => tokens === 0).map(({ loss }) => loss)).toEqual(
        extra ? [0, 0] : [],
      )
      return { gradients: gradientValues(training.model), loss: record.lossWeighted }
    }
    const found = run(true)
    const expected = run(false)
    expect(relativeDistance([found.loss], [expected.loss])).toBeLessThan(1e-6)
    expect(wholeDistance(found.gradients, expected.gradients)).toBeLessThan(2e-6)
  })

  it.each(NORMALIZERS)('alone leave parameters and moments to the bit, without a NaN (%s)', (normalizer) => {
    using training = createCase(methodOf({ ...method, normalizer }))
    for (let n = 0; n < 3; n++) training.step([normal(n)])
    const record = expectUntouched(training, [unlabelled])
    expect(numbersOf(record).filter((value) => !Number.isFinite(value))).toEqual([])
    expect(training.step([normal(4)]).record.skipped).toBe(false)
  })

  it('or no samples at all leave everything as it is', () => {
    using training = createCase(methodOf(method))
    training.step([normal(0)])
    expectUntouched(training, [])
    expectUntouched(training, [batchOf([])])
    expect(training.step([normal(1)]).record.skipped).toBe(false)
  })
})

describe('weights that are all 0', () => {
  it.each(
    NORMALIZERS,
  )('leave parameters and moments to the bit, without a NaN (%s)', (normalizer: Normalizer) => {
    const identity = createIdentityGate()
    let isZero = false
    const gate: Gate = {
      weights: (scores, facts) =>
        isZero ? zeros(scores.score.shape, { device: scores.score.device }) : identity.weights(scores, facts),
    }
    using training = createCase(methodWith({ gate }, normalizer))
    for (let n = 0; n < 3; n++) training.step([normal(n)])
    isZero = true
    const record = expectUntouched(training, [normal(3)])
    expect(numbersOf(record).filter((value) => !Number.isFinite(value))).toEqual([])
    expect(record.lossWeighted).toBe(0)
    expect(record.lossUnweighted).toBeGreaterThan(0)
  })

  it('come out of a static weight of 0 just the same', () => {
    using training = createCase(methodOf({ preset: 'uniform', normalizer: 'sample.mean' }))
    training.step([normal(0)])
    expectUntouched(training, [
      batchOf(rowsOfStep(1).map((row) => row.map((sample) => ({ ...sample, weight: 0 })))),
    ])
  })
})

describe.each(METHOD_LIST)('a loss that is not finite under %s', (_, method) => {
  const TOKEN = 40
  const poisoned = batchOf([[{ tokens: [5, TOKEN, 6, 7], id: 'bad' }], [{ tokens: [9, 10, 11], id: 'good' }]])

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('(%d in an embedding) moves nothing', (value) => {
    using training = createCase(methodOf(method))
    const embedding = training.model.model.embed_tokens.weight
    for (let n = 0; n < 3; n++) training.step([normal(n)])
    fillRow(embedding, TOKEN, new Float32Array(16).fill(value))
    const record = expectUntouched(training, [poisoned])
    expect(Number.isFinite(record.lossWeighted)).toBe(false)

    fillRow(embedding, TOKEN, new Float32Array(16).fill(0.1))
    // Two refreshes and calibrations further on nothing of it is left.
    for (let n = 3; n < 8; n++) {
      const { record: next, events } = training.step([normal(n)])
      expect(next.skipped).toBe(false)
      expect(numbersOf(next).every(Number.isFinite)).toBe(true)
      for (const { fields } of events.method) expect(numbersOf(fields).every(Number.isFinite)).toBe(true)
      for (const kept of training.method.state().tensors.values())
        expect(kept.toFloat32Array().every(Number.isFinite)).toBe(true)
    }
  })

  it('three times in a row ends the run, with the samples in the error', () => {
    using training = createCase(methodOf(method))
    const embedding = training.model.model.embed_tokens.weight
    const good = embedding.toFloat32Array().subarray(TOKEN * 16, (TOKEN + 1) * 16)
    const bad = new Float32Array(16).fill(Number.NaN)
    const stepWith = (row: Float32Array) => {
      fillRow(embedding, TOKEN, row)
      return training.step([poisoned])
    }
    // A finite step in between starts the count again.
    for (const row of [bad, bad, good, bad, bad]) stepWith(row)
    const before = stateOf(training)
    let error: unknown
    try {
      stepWith(bad)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(NumericError)
    expect(error).toMatchObject({ code: 'NOT_FINITE', exitCode: 4, context: { samples: ['bad', 'good'] } })
    expect(stateOf(training)).toEqual(before)
  })
})
