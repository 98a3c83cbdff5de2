import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { LLAMA_PRESETS, type LlamaPreset } from '../dimensions/model-config.js'
import type { CausalLM } from './causal-lm.js'
import { createModel } from './create-model.js'

const TINY = { vocabSize: 11, hiddenSize: 24, intermediateSize: 16, numHiddenLayers: 1 }
const firstWeights = (model: CausalLM) => scope(() => [...model.headWeight.toFloat32Array().slice(0, 5)])

describe('createModel', () => {
  it('takes a preset with changes, and a head size that follows them', () => {
    using model = createModel('llama-1m', TINY)
    const { headDim, ropeTheta, numAttentionHeads } = model.config
    expect({ headDim, ropeTheta, numAttentionHeads }).toEqual({
      headDim: 6,
      ropeTheta: 10_000,
      numAttentionHeads: 4,
    })
    expect(model.headWeight.shape).toEqual([11, 24])
    using own = createModel({ ...LLAMA_PRESETS['llama-1m'], ...TINY, headDim: 8 })
    expect(own.config.headDim).toBe(8)
  })

  it('gives equal weights for equal seeds only', () => {
    using a = createModel('llama-1m', { ...TINY, seed: 3 })
    using b = createModel('llama-1m', { ...TINY, seed: 3 })
    using c = createModel('llama-1m', { ...TINY, seed: 4 })
    expect(firstWeights(b)).toEqual(firstWeights(a))
    expect(firstWeights(c)).not.toEqual(firstWeights(a))
  })

  it('refuses a preset that is not there and dimensions that do not fit', () => {
    expect(() => createModel('llama-7b' as LlamaPreset)).toThrow(
      /expected one of llama-1m, .*received "llama-7b"/,
    )
    for (const wrong of [
      { vocabSize: 0 },
      { numHiddenLayers: 1.5 },
      { hiddenSize: 30 },
      { numKeyValueHeads: 3 },
    ]) {
      expect(() => createModel('llama-1m', wrong)).toThrow(
        expect.objectContaining({ code: 'BAD_MODEL_CONFIG' }),
      )
    }
  })
})
