import { describe, expect, it } from 'vitest'
import { batchOfArrays, openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { parameterValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

interface Values {
  readonly losses: number[]
  readonly gradNorms: number[]
  readonly learningRates: number[]
}

describe('twelve steps of uniform training against the reference', () => {
  const golden = openGolden<Values>('train-12-steps')
  const [numSteps, numRows, length] = golden.shape('tokens_NBT') as [number, number, number]
  const tokens = golden.ids('tokens_NBT')
  const labels = golden.ids('labels_NBT')
  const rows = (step: number, first: number, count: number) => {
    const start = (step * numRows + first) * length
    const end = start + count * length
    return batchOfArrays(tokens.slice(start, end), labels.slice(start, end), count)
  }

  it.each([
    { perDevice: numRows, gradientCheckpointing: false },
    { perDevice: numRows, gradientCheckpointing: true },
    { perDevice: 1, gradientCheckpointing: false },
  ])('gives its losses, gradient norms, rates and final parameters: %o', ({ perDevice, ...options }) => {
    using training = createCase(methodOf({ preset: 'uniform', normalizer: 'token.mean' }), {
      model: loadModelFolder(golden.modelFolder),
      totalSteps: numSteps,
      learningRate: 0.01,
      schedule: 'linear',
      weightDecay: 0.1,
      adamBeta1: 0.9,
      adamBeta2: 0.95,
      adamEpsilon: 1e-8,
      maxGradNorm: 1,
      lossChunkSize: 7,
      ...options,
    })
    const records = Array.from({ length: numSteps }, (_, step) => {
      const firsts = Array.from({ length: numRows / perDevice }, (_, i) => i * perDevice)
      return training.step(firsts.map((first) => rows(step, first, perDevice))).record
    })
    const { losses, gradNorms, learningRates } = golden.values
    const seriesOf = (key: 'lossWeighted' | 'gradNorm' | 'learningRate') =>
      records.map((record) => record[key])
    expect(relativeDistance(seriesOf('lossWeighted'), losses)).toBeLessThan(golden.tolerance)
    expect(relativeDistance(seriesOf('gradNorm'), gradNorms)).toBeLessThan(golden.tolerance)
    expect(relativeDistance(seriesOf('learningRate'), learningRates)).toBeLessThan(1e-12)
    expect(worstDistance(parameterValues(training.model), golden.all('final.'))).toBeLessThan(
      golden.tolerance,
    )
    expect(
      records.every(({ weightMean, essRatio, skipped }) => weightMean === 1 && essRatio === 1 && !skipped),
    ).toBe(true)
  })
})
