import { describe, expect, it } from 'vitest'
import { batchOfArrays, openGolden } from '../model/golden.test.fixture.js'
import { loadAdapterFolder, loadModelFolder } from '../model/index.js'
import { parameterValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { adapterValues } from './golden-model.test.fixture.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

interface Values {
  readonly losses: number[]
  readonly gradNorms: number[]
  readonly learningRates: number[]
}

describe('eight steps of an adapter against PEFT and torch.optim.AdamW', () => {
  const golden = openGolden<Values>('lora-train-8-steps')
  const start = openGolden('lora-qwen2-all-linear')
  const [numSteps, numRows, length] = golden.shape('tokens_NBT') as [number, number, number]
  const tokens = golden.ids('tokens_NBT')
  const labels = golden.ids('labels_NBT')

  it.each([
    { perDevice: numRows, gradientCheckpointing: false },
    { perDevice: 1, gradientCheckpointing: true },
  ])('gives losses, gradient norms and adapter, and leaves the base alone: %o', ({
    perDevice,
    ...options
  }) => {
    const model = loadModelFolder(golden.modelFolder)
    const base = parameterValues(model)
    loadAdapterFolder(model, start.path('adapter'))
    using training = createCase(methodOf({ preset: 'uniform', normalizer: 'token.mean' }), {
      model,
      totalSteps: numSteps,
      learningRate: 0.01,
      schedule: 'linear',
      weightDecay: 0.1,
      adamBeta1: 0.9,
      adamBeta2: 0.95,
      adamEpsilon: 1e-8,
      maxGradNorm: 1.5,
      lossChunkSize: 7,
      ...options,
    })
    const batches = (step: number) =>
      Array.from({ length: numRows / perDevice }, (_, part) => {
        const first = (step * numRows + part * perDevice) * length
        const end = first + perDevice * length
        return batchOfArrays(tokens.slice(first, end), labels.slice(first, end), perDevice)
      })
    const records = Array.from({ length: numSteps }, (_, step) => training.step(batches(step)).record)
    const series = (key: 'lossWeighted' | 'gradNorm' | 'learningRate') => records.map((record) => record[key])
    const { losses, gradNorms, learningRates } = golden.values
    expect(relativeDistance(series('lossWeighted'), losses)).toBeLessThan(golden.tolerance)
    expect(relativeDistance(series('gradNorm'), gradNorms)).toBeLessThan(golden.tolerance)
    expect(relativeDistance(series('learningRate'), learningRates)).toBeLessThan(1e-12)
    const after = parameterValues(model)
    expect(worstDistance(adapterValues(after), golden.all('final.'))).toBeLessThan(golden.tolerance)
    for (const [name, values] of base) expect(after.get(name)).toEqual(values)
  })
})
