import { nn, type TorchError } from '@adapt-ts/torch'
import { beforeAll, expect, it } from 'vitest'
import {
  DEVICE,
  deviceBytesInUse,
  loadTestingDevice,
  withDeviceMemory,
} from '../../../torch/testing-device/testing-device.mjs'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

beforeAll(loadTestingDevice)

it('a step that runs out of device memory, wherever it is, says so and leaves nothing behind', () => {
  const before = deviceBytesInUse()
  const ends: string[] = []
  {
    using training = createCase(methodOf({ preset: 'uniform' }), {
      model: nn.withParameterDefaults({ device: DEVICE }, () => createTinyLlama()),
    })
    const step = () => training.step([batchOf(rowsOfStep(0).slice(0, 2)), batchOf(rowsOfStep(0).slice(2))])
    step()
    step()
    const between = deviceBytesInUse()
    for (let more = 256; ends.at(-1) !== 'done'; more *= 2) {
      try {
        withDeviceMemory(between + more, step)
        ends.push('done')
      } catch (error) {
        ends.push((error as TorchError).code)
      }
      step()
      expect(deviceBytesInUse()).toBe(between)
    }
  }
  // In the inputs, the forward, the loss, the backward: some of each.
  expect(ends.length).toBeGreaterThan(5)
  expect(new Set(ends)).toEqual(new Set(['OUT_OF_MEMORY', 'done']))
  expect(deviceBytesInUse()).toBe(before)
})
