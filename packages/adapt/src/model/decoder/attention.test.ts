/** B rows, T positions, H heads, K key/value heads, E head size. */
import {
  backward,
  full,
  Generator,
  normal_,
  scope,
  startRecording,
  stopRecording,
  type Tensor,
  toDevice,
  zeros,
} from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { batchOf, createTinyLlama, createTokens } from '../tiny-llama.test.fixture.js'
import { attend, attentionMask, hasFusedAttention, packedMask } from './attention.js'

const draw = createTokens(5)
const { device } = createTinyLlama()
const of = (...lengths: number[]) => lengths.map((length) => ({ tokens: draw(length) }))
const packed = batchOf([of(8, 8), of(10, 6)], { packing: true, maxLength: 16 })

describe.each([
  ['rows of one sample', () => attentionMask(16, device)],
  ['rows of several samples', () => packedMask(packed, device)],
])('attention that is composed, in %s', (_, maskOf) => {
  it('adds its mask without a copy of the scores in backward', (context) => {
    if (hasFusedAttention()) context.skip('needs a LibTorch without scaled_dot_product_attention')
    const nodes = scope(() => {
      const generator = new Generator(2)
      const leaf = (heads: number): Tensor =>
        toDevice(normal_(zeros([2, 16, heads, 4]), 0, 1, generator), device).setRequiresGrad()
      const attended = attend(leaf(4), leaf(2), leaf(2), maskOf())
      startRecording()
      backward([attended], [full(attended.shape, 0.5, { device })])
      return stopRecording().events.filter(({ kind }) => kind === 'backward')
    }).map(({ name }) => name)
    expect(nodes.filter((name) => name.endsWith('SoftmaxBackward0'))).toHaveLength(1)
    expect(nodes.filter((name) => /CopySlices|AsStrided/.test(name))).toEqual([])
  })
})
