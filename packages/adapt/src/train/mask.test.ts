import { scope, type Tensor, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { NORMALIZERS, type Normalizer } from '../loss/index.js'
import { composeMethod, type Gate, type Signal, type StepOutcome } from '../method/index.js'
import { compositionOf } from '../method/step-facts.test.fixture.js'
import {
  batchOf,
  fillRow,
  gradientValues,
  parameterValues,
  type TestSample,
} from '../model/tiny-llama.test.fixture.js'
import { forwardFlops, trainingFlops } from './flops.js'
import { sampleLossSignal, upperHalfGate } from './hand-made-methods.test.fixture.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

const SAMPLES: readonly TestSample[] = rowsOfStep(2).flat()
/** Two micro-batches of candidates. */
const CANDIDATES = [SAMPLES.slice(0, 3), SAMPLES.slice(3)].map((list) => batchOf(list.map((one) => [one])))
const numTokens = SAMPLES.reduce((sum, { tokens }) => sum + tokens.length, 0)

/** The samples with these indexes, one a row, in one micro-batch. */
const layOut = (indexes: readonly number[]): Batch[] => [
  batchOf(indexes.map((index) => [SAMPLES.find((sample) => sample.index === index)!])),
]

/** A method that trains what this gate gives a weight above 0, and what it observed. */
function maskOf(gate: Gate, normalizer: Normalizer, signal: Signal = sampleLossSignal) {
  const outcomes: StepOutcome[] = []
  const observed: Signal = { ...signal, observe: (outcome) => void outcomes.push(outcome) }
  const composition = compositionOf({ signal: observed, gate, apply: 'mask', normalizer })
  return { method: composeMethod(composition), outcomes }
}

describe.each(NORMALIZERS)('a mask under %s', (normalizer) => {
  it('trains on the samples that are kept as if they were all there is', () => {
    const { method, outcomes } = maskOf(upperHalfGate, normalizer)
    using training = createCase(method, { layOut })
    using whole = createCase(methodOf({ preset: 'uniform', normalizer }), { learningRate: 0 })
    const { record, events } = training.step(CANDIDATES)
    const { record: all, events: allEvents } = whole.step(CANDIDATES)
    const losses = new Map(allEvents.totals.samples.map(({ id, loss }) => [id, loss]))
    const byLoss = SAMPLES.map(({ id }) => id!).sort((a, b) => losses.get(b)! - losses.get(a)!)
    const kept = byLoss.slice(0, 3)

    using alone = createCase(methodOf({ preset: 'uniform', normalizer }))
    const keptSamples = SAMPLES.filter(({ id }) => kept.includes(id!))
    const expected = alone.step(layOut(keptSamples.map(({ index }) => index!)))
    expect(gradientValues(training.model)).toEqual(gradientValues(alone.model))
    expect(parameterValues(training.model)).toEqual(parameterValues(alone.model))
    expect(record.lossWeighted).toBe(expected.record.lossWeighted)
    expect(record.gradNorm).toBe(expected.record.gradNorm)
    // What the loss would be without the method.
    expect(record.lossUnweighted).toBeCloseTo(all.lossUnweighted, 5)

    const { samples } = events.totals
    expect(samples.map(({ id, weight }) => [id, weight])).toEqual([
      ...keptSamples.map(({ id }) => [id, 1]),
      ...SAMPLES.filter(({ id }) => !kept.includes(id!)).map(({ id }) => [id, 0]),
    ])
    for (const { id, score, loss } of samples) {
      expect(score).toBeCloseTo(losses.get(id)!, 5)
      expect(loss).toBeCloseTo(losses.get(id)!, 5)
    }
    expect(record.numSamples).toBe(SAMPLES.length)
    expect([...outcomes[0]!.samples.index]).toEqual(keptSamples.map(({ index }) => index))
    expect([...outcomes[0]!.samples.weight]).toEqual([1, 1, 1])
  })
})

describe('a mask', () => {
  it('charges the scoring of all candidates, and the training of those that are kept', () => {
    using training = createCase(maskOf(upperHalfGate, 'token.wmean').method, { layOut })
    const { record, events } = training.step(CANDIDATES)
    const kept = new Set(events.totals.samples.flatMap(({ index, weight }) => (weight > 0 ? [index] : [])))
    const trained = SAMPLES.filter(({ index }) => kept.has(index!))
    const trainedTokens = trained.reduce((sum, { tokens }) => sum + tokens.length, 0)
    const n = training.model.numParameters
    expect(record.flopsSignal).toBe(forwardFlops(n, numTokens))
    expect(record.flopsTrain).toBe(trainingFlops(n, trainedTokens))
    expect(record.numTokensProcessed).toBe(trainedTokens)
  })

  it('needs samples that can be laid out again', () => {
    using training = createCase(maskOf(upperHalfGate, 'token.wmean').method)
    expect(() => training.step(CANDIDATES)).toThrow(
      expect.objectContaining({
        code: 'NEEDS_DATA',
        message: expect.stringMatching(/^method hand-made: expected the training data to be at hand/),
      }),
    )
  })

  it('takes micro-batches that stay empty, and a step of which nothing is kept', () => {
    const withEmpty = (indexes: readonly number[]) => [...layOut(indexes), batchOf([])]
    using training = createCase(maskOf(upperHalfGate, 'token.wmean').method, { layOut: withEmpty })
    using expected = createCase(maskOf(upperHalfGate, 'token.wmean').method, { layOut })
    training.step(CANDIDATES)
    expected.step(CANDIDATES)
    expect(parameterValues(training.model)).toEqual(parameterValues(expected.model))

    const none: Gate = {
      weights: ({ score }) => tensor(new Float32Array(score.numel), [score.numel], { device: score.device }),
    }
    for (const how of [withEmpty, () => []]) {
      using skipping = createCase(maskOf(none, 'token.wmean').method, { layOut: how })
      const before = parameterValues(skipping.model)
      const { record, events } = skipping.step(CANDIDATES)
      expect(record.skipped).toBe(true)
      expect(record.lossWeighted).toBe(0)
      expect(events.totals.samples.map(({ weight }) => weight)).toEqual([0, 0, 0, 0, 0])
      expect(parameterValues(skipping.model)).toEqual(before)
    }
  })

  it('leaves out a sample without labels and a step without any', () => {
    const prompt = { tokens: [7, 8, 9], labelsFrom: 3, id: 'prompt-only', index: 99 }
    using training = createCase(maskOf(upperHalfGate, 'token.wmean').method, { layOut })
    const { record, events } = training.step([...CANDIDATES, batchOf([[prompt]])])
    expect(record.skipped).toBe(false)
    expect(events.totals.samples.at(-1)).toMatchObject({ id: 'prompt-only', weight: 0, tokens: 0 })
    expect(training.step([batchOf([[prompt]])]).record.skipped).toBe(true)
    expect(training.step([]).record.skipped).toBe(true)
  })

  it('trains on nothing when the scores are no numbers, and says so', () => {
    using training = createCase(maskOf(upperHalfGate, 'token.wmean').method, { layOut })
    fillRow(
      training.model.model.embed_tokens.weight,
      SAMPLES[0]!.tokens[0]!,
      new Float32Array(16).fill(Number.NaN),
    )
    const before = parameterValues(training.model)
    const { record, events } = training.step(CANDIDATES)
    expect(record.skipped).toBe(true)
    expect(Number.isFinite(record.lossWeighted)).toBe(false)
    expect(events.totals.samples).toHaveLength(SAMPLES.length)
    expect(parameterValues(training.model)).toEqual(before)
  })

  it('shows a gate that asks for it how the samples of the whole step go together', () => {
    let seen: number[][] = []
    const gate: Gate = {
      view: 'step',
      weights: ({ score, interactions }) => {
        seen = [interactions!.shape, [...interactions!.toFloat32Array()]]
        return tensor(new Float32Array(score.numel).fill(1), [score.numel], { device: score.device })
      },
    }
    const signal: Signal = {
      ...sampleLossSignal,
      interactions: (step, { device }): Tensor => {
        const lengths = step.flatMap(({ batch, hidden_BTD }) => {
          expect(hidden_BTD.isDisposed).toBe(false)
          return batch.samples.map((sample) => sample.numTokens)
        })
        return tensor(
          lengths.flatMap((a) => lengths.map((b) => a * b)),
          [lengths.length, lengths.length],
          { device },
        )
      },
    }
    const composition = compositionOf({ signal, gate, apply: 'mask', interactions: true })
    using training = createCase(composeMethod(composition), { layOut })
    scope(() => training.step(CANDIDATES))
    const lengths = SAMPLES.map(({ tokens }) => tokens.length)
    expect(seen).toEqual([[5, 5], lengths.flatMap((a) => lengths.map((b) => a * b))])
  })
})
