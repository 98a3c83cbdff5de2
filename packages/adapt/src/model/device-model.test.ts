// Models on a device without hardware: what is made, moved and drawn there.
import { nn, scope } from '@adapt-ts/torch'
import { beforeAll, describe, expect, it } from 'vitest'
import { DEVICE, loadTestingDevice } from '../../../torch/testing-device/testing-device.mjs'
import { type CausalLM, createModel, embedTokens, toModelInputs } from './index.js'
import { addLora, LORA_DEFAULTS } from './lora/index.js'
import { batchOf, createTinyLlama, parameterValues, TINY_CONFIG } from './tiny-llama.test.fixture.js'

beforeAll(loadTestingDevice)

const BATCH = batchOf([[{ tokens: [5, 6, 7, 8, 9] }], [{ tokens: [9, 4] }]])
const statesOf = (model: CausalLM) =>
  scope(() => [...embedTokens(model, toModelInputs(BATCH, model.device)).toFloat32Array()])

describe('a seed', () => {
  it('names one model on every device', () => {
    using onHost = createModel(TINY_CONFIG, { seed: 7 })
    using onDevice = createModel(TINY_CONFIG, { seed: 7, device: DEVICE })
    expect(onDevice.device).toBe(DEVICE)
    expect(parameterValues(onDevice)).toEqual(parameterValues(onHost))
  })

  it('names one model on every device in 16 bits too', () => {
    const make = (device: string) =>
      nn.withParameterDefaults({ device, dtype: 'bfloat16' }, () => createTinyLlama())
    using onHost = make('cpu')
    using onDevice = make(DEVICE)
    expect(parameterValues(onDevice)).toEqual(parameterValues(onHost))
  })

  it('names one adapter on every device', () => {
    const make = (device: string) => {
      const model = createModel(TINY_CONFIG, { device })
      addLora(model, { ...LORA_DEFAULTS, r: 3 }, 5)
      return model
    }
    using onHost = make('cpu')
    using onDevice = make(DEVICE)
    expect(onDevice.parameters().every(({ device }) => device === DEVICE)).toBe(true)
    expect(parameterValues(onDevice)).toEqual(parameterValues(onHost))
  })
})

describe('a model that has computed', () => {
  it('computes the same after it was moved, and moved back', () => {
    using model = createTinyLlama()
    const before = statesOf(model)
    for (const device of [DEVICE, 'cpu']) {
      model.to({ device })
      expect(model.device).toBe(device)
      for (const [i, state] of statesOf(model).entries()) expect(state).toBeCloseTo(before[i]!, 5)
    }
  })
})
