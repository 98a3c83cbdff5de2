/** N labelled positions. */
import { describe, expect, it } from 'vitest'
import { labelledPositions, NORMALIZERS } from '../loss/index.js'
import {
  batchOf,
  createTinyLlama,
  gradientValues,
  relativeDistance,
  wholeDistance,
} from '../model/tiny-llama.test.fixture.js'
import { HAND_MADE, THRESHOLD } from './hand-made-methods.test.fixture.js'
import { plainBackward } from './plain-backward.test.fixture.js'
import { createCase, rowsOfStep } from './training-case.test.fixture.js'

const batch = batchOf(rowsOfStep(0))
const { sampleOf } = labelledPositions(batch, 'cpu')

/** One step at a learning rate of 0: gradients stay those of the loss. */
function stepOf(normalizer: (typeof NORMALIZERS)[number]) {
  using training = createCase(HAND_MADE['tokens under a threshold'](normalizer), {
    learningRate: 0,
    maxGradNorm: undefined,
  })
  const { record, events } = training.step([batch])
  return { record, totals: events.totals, gradients: gradientValues(training.model) }
}

describe('weights of tokens', () => {
  it.each(NORMALIZERS)('give the loss and the gradients that a sum over tokens has (%s)', (normalizer) => {
    const { record, gradients } = stepOf(normalizer)
    const plain = createTinyLlama()
    let numKept = 0
    const loss = plainBackward(plain, batch, (loss_N) => {
      const kept = [...loss_N].map((value) => (value < THRESHOLD ? 1 : 0))
      numKept = kept.filter((weight) => weight > 0).length
      const factor = [...sampleOf].map((sample) =>
        normalizer.startsWith('token') ? 1 : 1 / batch.samples[sample]!.numLabels,
      )
      const z = factor.reduce((sum, f, n) => sum + f * (normalizer.endsWith('wmean') ? kept[n]! : 1), 0)
      return factor.map((f, n) => (f * kept[n]!) / z)
    })
    expect(numKept).toBeGreaterThan(0)
    expect(numKept).toBeLessThan(sampleOf.length)
    expect(Math.abs(record.lossWeighted / loss - 1)).toBeLessThan(1e-6)
    expect(wholeDistance(gradients, gradientValues(plain))).toBeLessThan(2e-6)
    plain.dispose()
  })

  it('train on the mean over the tokens that are kept, and are shown as means of their samples', () => {
    const { record, totals } = stepOf('token.wmean')
    const plain = createTinyLlama()
    let losses = new Float32Array()
    plainBackward(plain, batch, (loss_N) => {
      losses = loss_N.slice()
      return [...loss_N].fill(1)
    })
    plain.dispose()
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
    expect(record.lossWeighted).toBeCloseTo(mean([...losses].filter((loss) => loss < THRESHOLD)), 5)
    expect(record.lossUnweighted).toBeCloseTo(mean([...losses]), 5)
    const bySample = batch.samples.map((_, i) => [...losses].filter((_, n) => sampleOf[n] === i))
    const shares = bySample.map((list) => list.filter((loss) => loss < THRESHOLD).length / list.length)
    expect(
      relativeDistance(
        totals.samples.map(({ weight }) => weight),
        shares,
      ),
    ).toBeLessThan(1e-6)
    expect(
      relativeDistance(
        totals.samples.map(({ score }) => score),
        bySample.map(mean),
      ),
    ).toBeLessThan(1e-6)
  })

  it('take no part in a sample without labels', () => {
    using training = createCase(HAND_MADE['tokens under a threshold']('token.wmean'), { learningRate: 0 })
    const rows = [...rowsOfStep(0), [{ tokens: [7, 8, 9], labelsFrom: 3, id: 'prompt-only' }]]
    const { record, events } = training.step([batchOf(rows)])
    expect(record.lossWeighted).toBeCloseTo(stepOf('token.wmean').record.lossWeighted, 5)
    expect(events.totals.samples.at(-1)).toMatchObject({ id: 'prompt-only', weight: 0, score: 0, tokens: 0 })
    expect(training.step([batchOf(rows.slice(-1))]).record.skipped).toBe(true)
  })
})
