import { full, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  type TestSample,
  wholeDistance,
} from '../tiny-llama.test.fixture.js'
import { fitsSequenceAttention } from './attend-sequences.js'
import { runForward } from './forward-pass.js'
import { toModelInputs } from './model-inputs.js'

const draw = createTokens(3)
const samples: readonly TestSample[] = [5, 3, 11, 1, 20].map((length) => ({ tokens: draw(length) }))

// Heads that a GPU's kernel takes; on a device without a kernel the same samples attend in groups under masks.
describe.each([
  ['full', {}],
  ['sliding', { slidingWindow: 4 }],
  ['sliding in one layer of two', { slidingWindow: 4, slidingLayers: [true, false] }],
])('samples of all lengths in one row, attention %s, in bfloat16', (_, window) => {
  const model = createTinyLlama({ hiddenSize: 32, headDim: 8, maxPositionEmbeddings: 64, ...window })
  afterAll(() => model.dispose())

  /** Gradients of the sum of all hidden states, of the samples in the rows that are given. */
  function gradients(batches: readonly (readonly (readonly TestSample[])[])[]): Map<string, Float32Array> {
    model.zeroGrad()
    for (const rows of batches) {
      scope(() => {
        const batch = batchOf(rows, { packing: true, maxLength: 64 })
        const pass = runForward(model, toModelInputs(batch, model.device), { autocastDtype: 'bfloat16' })
        pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
      })
    }
    return gradientValues(model)
  }

  it('have the gradients of samples that are alone', () => {
    const alone = gradients(samples.map((sample) => [[sample]]))
    expect(wholeDistance(gradients([[samples]]), alone)).toBeLessThan(2e-2)
    expect(wholeDistance(gradients([[samples.slice(0, 4)]]), alone)).toBeGreaterThan(0.1)
  })
})

it('the kernel of the CPU takes every head, that of CUDA 16 bits and heads that fit its tiles', () => {
  const { device } = createTinyLlama()
  const isCpu = device === 'cpu'
  const isCuda = device.startsWith('cuda')
  expect(fitsSequenceAttention(device, 'bfloat16', 64)).toBe(isCpu || isCuda)
  expect(fitsSequenceAttention(device, 'float16', 64)).toBe(isCuda)
  for (const [dtype, headDim] of [
    ['float32', 64],
    ['bfloat16', 4],
    ['bfloat16', 264],
  ] as const)
    expect(fitsSequenceAttention(device, dtype, headDim)).toBe(isCpu)
})
