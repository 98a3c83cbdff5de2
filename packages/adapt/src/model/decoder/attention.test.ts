import { full, scope, startRecording, stopRecording } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { batchOf, createTinyLlama, createTokens } from '../tiny-llama.test.fixture.js'
import { hasFusedAttention } from './attention.js'
import { runForward } from './forward-pass.js'
import { toModelInputs } from './model-inputs.js'

const draw = createTokens(5)
const of = (...lengths: number[]) => lengths.map((length) => ({ tokens: draw(length) }))

describe.each([
  ['rows of one sample', [of(16), of(16)], false],
  ['rows of several samples', [of(8, 8), of(10, 6)], true],
])('attention that is composed, in %s', (_, rows, isPacked) => {
  const model = createTinyLlama({ maxPositionEmbeddings: 64 })
  afterAll(() => model.dispose())

  it('adds its mask without a copy of the scores in backward', (context) => {
    if (hasFusedAttention()) context.skip('needs a LibTorch without scaled_dot_product_attention')
    const nodes = scope(() => {
      const inputs = toModelInputs(batchOf(rows, { packing: true, maxLength: 16 }), model.device)
      expect(inputs.isPacked).toBe(isPacked)
      const pass = runForward(model, inputs)
      startRecording()
      pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
      return stopRecording().events.filter(({ kind }) => kind === 'backward')
    }).map(({ name }) => name)
    expect(nodes.filter((name) => name.endsWith('SoftmaxBackward0'))).toHaveLength(
      model.config.numHiddenLayers,
    )
    expect(nodes.filter((name) => /CopySlices|AsStrided/.test(name))).toEqual([])
  })
})
