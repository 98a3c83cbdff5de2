import type { DType } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { NORMALIZERS, type Normalizer } from '../loss/index.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  relativeDistance,
  type TestSample,
  wholeDistance,
} from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

const draw = createTokens(5)
const SAMPLES: readonly TestSample[] = [5, 3, 8, 2, 6].map((length, i) => ({
  tokens: draw(length),
  labelsFrom: 1 + (i % 2),
  id: `sample-${i}`,
}))
const [A, B, C, D, E] = SAMPLES as [TestSample, TestSample, TestSample, TestSample, TestSample]

/** One step at a learning rate of 0 over these micro-batches. */
function step(batches: readonly Batch[], normalizer: Normalizer = 'sample.wmean', autocastDtype?: DType) {
  using training = createCase(methodOf({ preset: 'adapt', gate: { temperature: 0.2 }, normalizer }), {
    model: createTinyLlama({ initializerRange: 0.1 }),
    learningRate: 0,
    maxGradNorm: undefined,
    autocastDtype,
  })
  const { events } = training.step(batches)
  const { samples, lossWeighted } = events.totals
  const byId = new Map(samples.map((sample) => [sample.id, sample]))
  const seriesOf = (key: 'score' | 'weight' | 'loss') => SAMPLES.map(({ id }) => byId.get(id!)![key])
  return {
    scores: seriesOf('score'),
    weights: seriesOf('weight'),
    losses: seriesOf('loss'),
    lossWeighted,
    gradients: gradientValues(training.model),
  }
}

function distances(actual: ReturnType<typeof step>, expected: ReturnType<typeof step>) {
  return {
    scores: relativeDistance(actual.scores, expected.scores),
    weights: relativeDistance(actual.weights, expected.weights),
    losses: relativeDistance(actual.losses, expected.losses),
    lossWeighted: Math.abs(actual.lossWeighted / expected.lossWeighted - 1),
    gradients: wholeDistance(actual.gradients, expected.gradients),
  }
}

const unpacked = batchOf(SAMPLES.map((sample) => [sample]))
const LAYOUTS: Readonly<Record<string, readonly Batch[]>> = {
  'all in one packed row': [batchOf([[A, B, C, D, E]], { packing: true, maxLength: 24 })],
  'two packed rows in another order': [
    batchOf(
      [
        [C, D],
        [E, A, B],
      ],
      { packing: true, maxLength: 16 },
    ),
  ],
  'packed and single rows in two micro-batches': [batchOf([[B, C]]), batchOf([[A], [E], [D]])],
  'padding on the left': [
    batchOf(
      SAMPLES.map((sample) => [sample]),
      { paddingSide: 'left' },
    ),
  ],
  'padding far beyond the longest': [
    batchOf(
      SAMPLES.map((sample) => [sample]),
      { padTo: 20 },
    ),
  ],
}

describe.each(Object.entries(LAYOUTS))('%s', (_, batches) => {
  it.each(
    NORMALIZERS,
  )('gives the scores, weights, losses and gradients of single rows (%s)', (normalizer) => {
    const found = distances(step(batches, normalizer), step([unpacked], normalizer))
    for (const distance of Object.values(found)) expect(distance).toBeLessThan(1e-6)
  })

  it('stays within bfloat16 of single rows', () => {
    const found = distances(
      step(batches, 'sample.wmean', 'bfloat16'),
      step([unpacked], 'sample.wmean', 'bfloat16'),
    )
    // Each product rounds its sum once, to 2^-9, and a layout decides which positions one product sums over: most
    // layouts keep scores, weights and losses to 1e-7, but no gradient comes closer than a few 1e-3.
    for (const distance of Object.values(found)) expect(distance).toBeLessThan(2e-2)
  })
})

describe('a global gate', () => {
  it.each([
    'adapt',
    'adapt-calibrated',
  ] as const)('gives a sample the same weight whatever is beside it (%s)', (preset) => {
    const weightIn = (batch: Batch) => {
      using training = createCase(
        methodOf({ preset, gate: preset === 'adapt' ? { temperature: 0.1 } : { warmup_ratio: 0.05 } }),
      )
      // A common past, so that centring and calibration have something to go by.
      for (let n = 0; n < 3; n++) training.step([unpacked])
      const { samples } = training.step([batch]).events.totals
      return samples.find(({ id }) => id === A.id)!.weight
    }
    const alone = weightIn(batchOf([[A]]))
    expect(alone).not.toBe(1)
    expect(Math.abs(weightIn(batchOf([[B], [A], [C]])) / alone - 1)).toBeLessThan(1e-6)
    expect(Math.abs(weightIn(batchOf([[E, A, D]])) / alone - 1)).toBeLessThan(1e-6)
  })
})
