import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { denominator, NORMALIZERS, type Normalizer, tokenFactor } from './normalizer.js'

interface Sample {
  readonly weight: number
  readonly numLabels: number
  /** Mean nats per label. */
  readonly loss: number
}

const samplesOf = (weights: number[], losses: number[], counts: number[]): Sample[] =>
  weights.map((weight, i) => ({ weight, loss: losses[i]!, numLabels: counts[i]! }))

const numerator = (normalizer: Normalizer, samples: readonly Sample[]) =>
  samples.reduce(
    (sum, { weight, loss, numLabels }) =>
      sum + weight * loss * numLabels * tokenFactor(normalizer, numLabels),
    0,
  )

/** (1/Z) sum_i w_i l_i. */
const lossOf = (normalizer: Normalizer, samples: readonly Sample[]) =>
  numerator(normalizer, samples) / denominator(normalizer, samples)

const four = samplesOf([0.7, 0.4, 0.6, 0.9], [2, 1, 3, 1.5], [10, 2, 6, 4])

describe('the weighted loss', () => {
  it.each([
    ['sample.mean', 1.2375],
    ['sample.wmean', 1.903846],
    ['token.mean', 1.409091],
    ['token.wmean', 2.066667],
  ] as const)('of four samples under %s is %d', (normalizer, expected) => {
    expect(lossOf(normalizer, four)).toBeCloseTo(expected, 6)
  })

  it('is not the mean over micro-batches of their own losses', () => {
    const meanOf = (normalizer: Normalizer, ...parts: Sample[][]) =>
      parts.reduce((sum, part) => sum + lossOf(normalizer, part), 0) / parts.length
    expect(meanOf('sample.wmean', four.slice(0, 2), four.slice(2))).toBeCloseTo(1.868182, 6)
    expect(meanOf('sample.wmean', ...four.map((sample) => [sample]))).toBeCloseTo(1.875, 6)
    expect(meanOf('token.mean', four.slice(0, 2), four.slice(2))).toBeCloseTo(1.426667, 6)
  })

  it.each([
    ['sample.mean', 0.803595],
    ['sample.wmean', 1.301229],
    ['token.mean', 0.827469],
    ['token.wmean', 1.334421],
  ] as const)('of two packed samples under %s is %d', (normalizer, expected) => {
    const packed = samplesOf([0.609977, 0.625156], [1.2, 1.4], [1, 2])
    expect(lossOf(normalizer, packed)).toBeCloseTo(expected, 5)
  })

  it('of four weighted scores matches the worked numbers', () => {
    const weighted = samplesOf([0.694236, 0.524979, 0.413382, 0.634136], [2, 3, 1.5, 2.5], [1, 1, 1, 1])
    expect(lossOf('sample.mean', weighted)).toBeCloseTo(1.292206, 5)
    expect(lossOf('sample.wmean', weighted)).toBeCloseTo(2.280296, 5)
    expect(numerator('sample.mean', weighted)).toBeCloseTo(5.168823, 5)
  })

  it('of a chosen subset is the mean over the chosen', () => {
    const chosen = samplesOf([0, 1, 0, 0, 1], [2, 1, 3, 4, 5], [1, 1, 1, 1, 1])
    expect(lossOf('sample.wmean', chosen)).toBe(3)
  })
})

describe('denominator', () => {
  const anySample = fc.record({
    weight: fc.double({ min: 0, max: 10, noNaN: true }),
    numLabels: fc.integer({ min: 0, max: 50 }),
    loss: fc.double({ min: 0, max: 10, noNaN: true }),
  })

  it('adds up over any split', () => {
    fc.assert(
      fc.property(
        fc.array(anySample),
        fc.array(anySample),
        fc.constantFrom(...NORMALIZERS),
        (a, b, normalizer) => {
          const parts = denominator(normalizer, a) + denominator(normalizer, b)
          expect(denominator(normalizer, [...a, ...b])).toBeCloseTo(parts, 8)
        },
      ),
    )
  })

  it('leaves out samples without labels', () => {
    fc.assert(
      fc.property(fc.array(anySample), fc.constantFrom(...NORMALIZERS), (samples, normalizer) => {
        const labelled = samples.filter(({ numLabels }) => numLabels > 0)
        expect(denominator(normalizer, samples)).toBe(denominator(normalizer, labelled))
        expect(tokenFactor(normalizer, 0)).toBe(0)
      }),
    )
  })

  it('does not change a wmean loss when all weights are multiplied by a constant', () => {
    fc.assert(
      fc.property(
        fc.array(anySample, { minLength: 1 }),
        fc.constantFrom('sample.wmean' as const, 'token.wmean' as const),
        fc.double({ min: 0.1, max: 100, noNaN: true }),
        (samples, normalizer, factor) => {
          fc.pre(denominator(normalizer, samples) > 1e-3)
          const scaled = samples.map((sample) => ({ ...sample, weight: sample.weight * factor }))
          expect(lossOf(normalizer, scaled)).toBeCloseTo(lossOf(normalizer, samples), 8)
        },
      ),
    )
  })
})
