import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MethodInput } from '../catalog/index.js'
import type { Normalizer } from '../loss/index.js'
import {
  batchOf,
  gradientValues,
  relativeDistance,
  type TestSample,
  wholeDistance,
} from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

const SAMPLES = rowsOfStep(1, 5).flat()
const METHODS: readonly (readonly [string, MethodInput])[] = [
  ['uniform', { preset: 'uniform' }],
  ['adapt', { preset: 'adapt', signal: { refresh_every: 2 } }],
]
// A count as denominator does not see weights: there weight 2 is louder than two samples.
const WEIGHTED: readonly Normalizer[] = ['sample.wmean', 'token.wmean']
const CASES = METHODS.flatMap(([name, method]) =>
  WEIGHTED.map((normalizer) => [name, normalizer, { ...method, normalizer }] as const),
)

/** One step without a move: loss, gradients, and what the ledger gets. */
function stepOf(method: MethodInput, samples: readonly TestSample[]) {
  using training = createCase(methodOf(method), { learningRate: 0, maxGradNorm: undefined })
  const { record, events } = training.step([batchOf(samples.map((sample) => [sample]))])
  return { record, rows: events.totals.samples, gradients: gradientValues(training.model) }
}

const withWeights = (weights: readonly number[]) =>
  SAMPLES.map((sample, i) => ({ ...sample, weight: weights[i]! }))

describe.each(CASES)('a static weight under %s, %s', (_, __, method) => {
  it('of a whole number n is n equal samples, and of 0 is none', () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.integer({ min: 0, max: 3 }), { minLength: SAMPLES.length, maxLength: SAMPLES.length })
          .filter((weights) => weights.some((weight) => weight > 0)),
        (weights) => {
          const weighted = stepOf(method, withWeights(weights))
          const repeated = stepOf(
            method,
            SAMPLES.flatMap((sample, i) => new Array<TestSample>(weights[i]!).fill(sample)),
          )
          expect(
            relativeDistance([weighted.record.lossWeighted], [repeated.record.lossWeighted]),
          ).toBeLessThan(1e-6)
          expect(wholeDistance(weighted.gradients, repeated.gradients)).toBeLessThan(5e-6)
        },
      ),
      { seed: 2, numRuns: 8 },
    )
  })

  it('only counts in proportion to the others', () => {
    const plain = stepOf(method, SAMPLES)
    for (const weight of [0.125, 3, 1e-3]) {
      const scaled = stepOf(method, withWeights(SAMPLES.map(() => weight)))
      expect(relativeDistance([scaled.record.lossWeighted], [plain.record.lossWeighted])).toBeLessThan(1e-6)
      expect(wholeDistance(scaled.gradients, plain.gradients)).toBeLessThan(5e-6)
    }
  })

  it('is in the ledger beside the weight of the gate, and in no statistics of it', () => {
    const weights = SAMPLES.map((_, i) => i / 4)
    const plain = stepOf(method, SAMPLES)
    const weighted = stepOf(method, withWeights(weights))
    expect(weighted.rows.map((row) => row.sampleWeight)).toEqual(weights)
    expect(weighted.rows.map((row) => row.weight)).toEqual(plain.rows.map((row) => row.weight))
    const { weightMean, essRatio, weightQuantiles, weightMeanBySource } = plain.record
    expect(weighted.record).toMatchObject({ weightMean, essRatio, weightQuantiles, weightMeanBySource })
  })
})
