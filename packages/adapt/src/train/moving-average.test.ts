import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { requireFiniteState } from '../checkpoint/index.js'
import { addLora, LORA_DEFAULTS } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  fillRow,
  parameterValues,
  relativeDistance,
  TINY_CONFIG,
} from '../model/tiny-llama.test.fixture.js'
import type { Trainer } from './trainer.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

const DECAY = 0.7
const uniform = () => methodOf({ preset: 'uniform' })
const batches = (step: number) => [batchOf(rowsOfStep(step))]

const averages = ({ average }: Trainer) =>
  scope(() => average!.tensors.map((tensor) => tensor.toFloat32Array()))
const trained = ({ model }: Trainer) =>
  scope(() => model.trainableParameters().map((parameter) => parameter.toFloat32Array()))

/** The averages of weights that are seen one after the other, in float64. */
function recurrence(seen: readonly (readonly Float32Array[])[]): Float64Array[] {
  const [first, ...updates] = seen
  return first!.map((start, i) => {
    const average = Float64Array.from(start)
    for (const update of updates)
      for (const [j, value] of update[i]!.entries()) average[j] = DECAY * average[j]! + (1 - DECAY) * value
    return average
  })
}

function expectAverage(trainer: Trainer, seen: readonly (readonly Float32Array[])[]): void {
  const expected = recurrence(seen)
  for (const [i, found] of averages(trainer).entries())
    expect(relativeDistance(found, expected[i]!)).toBeLessThan(5e-7)
}

describe('the moving average of a training', () => {
  it('follows every update that was made, and no other', () => {
    using training = createCase(uniform(), { emaDecay: DECAY })
    const { trainer, model } = training
    const seen = [trained(trainer)]
    for (let step = 0; step < 4; step++) {
      training.step(batches(step))
      seen.push(trained(trainer))
    }
    expectAverage(trainer, seen)
    const before = averages(trainer)
    // A row that no other sample reads makes this step no number.
    const row = TINY_CONFIG.vocabSize - 1
    const embedding = new Map(model.namedParameters()).get('model.embed_tokens.weight')!
    fillRow(embedding, row, new Float32Array(TINY_CONFIG.hiddenSize).fill(Number.NaN))
    const { record } = training.step([batchOf([[{ tokens: [3, row, 4, 5] }]])])
    expect(record.skipped).toBe(true)
    expect(averages(trainer)).toEqual(before)
  })

  it('changes nothing of what is trained, also where it is looked at between two steps', () => {
    using plain = createCase(uniform())
    using averaged = createCase(uniform(), { emaDecay: DECAY })
    for (let step = 0; step < 3; step++) {
      const [one, two] = [plain, averaged].map((training) => training.step(batches(step)).record)
      expect([two!.lossWeighted, two!.flopsTrain]).toEqual([one!.lossWeighted, one!.flopsTrain])
      using _weights = averaged.trainer.average!.lend()
      expect(trained(averaged.trainer)).not.toEqual(trained(plain.trainer))
    }
    expect(parameterValues(averaged.model)).toEqual(parameterValues(plain.model))
  })

  it('is of the adapters alone where they alone are trained', () => {
    const model = createTinyLlama()
    addLora(model, { ...LORA_DEFAULTS, r: 2 }, 3)
    using training = createCase(uniform(), { model, emaDecay: DECAY })
    const { trainer } = training
    const seen = [trained(trainer)]
    for (let step = 0; step < 3; step++) {
      training.step(batches(step))
      seen.push(trained(trainer))
    }
    expect(trainer.average!.tensors.reduce((sum, { numel }) => sum + numel, 0)).toBe(
      model.numTrainableParameters,
    )
    expect(model.numTrainableParameters).toBeLessThan(model.numParameters)
    expectAverage(trainer, seen)
    expect(trainer.average!.tensors.every(({ device }) => device === model.device)).toBe(true)
  })

  it('that holds no number is not saved', () => {
    using training = createCase(uniform(), { emaDecay: DECAY })
    const { trainer, model } = training
    training.step(batches(0))
    requireFiniteState(trainer, undefined)
    {
      using _weights = trainer.average!.lend()
      const embedding = new Map(model.namedParameters()).get('model.embed_tokens.weight')!
      fillRow(embedding, 0, new Float32Array(TINY_CONFIG.hiddenSize).fill(Number.NaN))
    }
    expect(() => requireFiniteState(trainer, undefined)).toThrow(/ema\.\d+ holds a value that is not finite/)
  })
})
