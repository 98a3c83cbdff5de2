import { nn } from '@adapt-ts/torch'
import { beforeAll, describe, expect, it } from 'vitest'
import { counted, DEVICE, loadTestingDevice } from '../../../torch/testing-device/testing-device.mjs'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { type GenerateOptions, generateTokens } from './generate-tokens.js'

beforeAll(loadTestingDevice)

function generateOn(device: string, options: GenerateOptions): number[] {
  using model = nn.withParameterDefaults({ device }, () => createTinyLlama())
  return [...generateTokens(model, [5, 9, 20], options)]
}

describe('generation on a device', () => {
  it.each([
    ['greedy', {}],
    ['drawn', { temperature: 1.2, topK: 20, topP: 0.9, seed: 4 }],
  ])('continues as on the CPU and copies the logits of each token once (%s)', (_, options) => {
    const asked = { maxNewTokens: 12, ...options }
    const { result, counts } = counted(() => generateOn(DEVICE, asked))
    expect(result).toEqual(generateOn('cpu', asked))
    expect(counts.copiesToHost).toBeLessThanOrEqual(result.length + 1)
    expect([counts.scalarReads, counts.waits, counts.hostScalars]).toEqual([0, 0, 0])
  })

  it('goes on with a model that was moved', () => {
    using model = nn.withParameterDefaults({ device: 'cpu' }, () => createTinyLlama())
    const before = [...generateTokens(model, [5, 9, 20], { maxNewTokens: 6 })]
    model.to({ device: DEVICE })
    expect([...generateTokens(model, [5, 9, 20], { maxNewTokens: 6 })]).toEqual(before)
  })
})
