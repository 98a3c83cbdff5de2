import { describe, expect, it } from 'vitest'
import { type AdaptError, ConfigError } from '../errors.js'
import { CausalLM } from './causal-lm.js'
import { countParameters, LLAMA_PRESETS, parseModelConfig, toHuggingFaceConfig } from './model-config.js'
import { TINY_CONFIG } from './tiny-llama.test.fixture.js'

const written = toHuggingFaceConfig(TINY_CONFIG, { dtype: 'float32', bosId: 0, eosId: 1, padId: 2 })

function refusal(change: Record<string, unknown>): AdaptError {
  try {
    parseModelConfig({ ...written, ...change }, 'here/config.json')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return error as AdaptError
  }
  throw new Error(`${JSON.stringify(change)} was accepted`)
}

describe('parseModelConfig', () => {
  it('reads back what toHuggingFaceConfig writes', () => {
    expect(parseModelConfig(JSON.parse(JSON.stringify(written)), 'x')).toEqual(TINY_CONFIG)
  })

  it('takes what ModelConfig leaves out from its defaults', () => {
    const {
      hidden_size,
      intermediate_size,
      num_hidden_layers,
      num_attention_heads,
      vocab_size,
      architectures,
    } = written
    const parsed = parseModelConfig(
      { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, vocab_size, architectures },
      'x',
    )
    expect(parsed).toEqual({
      ...TINY_CONFIG,
      numKeyValueHeads: 4,
      headDim: 4,
      maxPositionEmbeddings: 2048,
      rmsNormEps: 1e-6,
      tieWordEmbeddings: false,
      initializerRange: 0.02,
    })
  })

  it('reads the rotary base from rope_parameters', () => {
    const { rope_theta: _, ...rest } = written
    const parsed = parseModelConfig(
      { ...rest, rope_parameters: { rope_type: 'default', rope_theta: 500 } },
      'x',
    )
    expect(parsed.ropeTheta).toBe(500)
  })

  it.each([
    ['auto_map', { auto_map: { AutoModel: 'evil.Model' } }],
    ['attention_bias', { attention_bias: true }],
    ['mlp_bias', { mlp_bias: true }],
    ['rope_scaling', { rope_scaling: { rope_type: 'llama3', factor: 8 } }],
    ['rope_parameters.rope_type', { rope_parameters: { rope_type: 'yarn' } }],
    ['quantization_config', { quantization_config: { bits: 4 } }],
    ['hidden_act', { hidden_act: 'gelu' }],
  ])('refuses %s by name', (key, change) => {
    const error = refusal(change)
    expect(error.code).toBe('UNSUPPORTED_MODEL')
    expect(error.message).toContain(`here/config.json: ${key}`)
  })

  it('refuses another architecture by name', () => {
    const error = refusal({ architectures: ['MistralForCausalLM'] })
    expect(error.code).toBe('UNSUPPORTED_ARCHITECTURE')
    expect(error.message).toContain('MistralForCausalLM')
    expect(refusal({ architectures: 'LlamaForCausalLM' }).code).toBe('UNSUPPORTED_ARCHITECTURE')
    expect(refusal({ architectures: undefined }).code).toBe('UNSUPPORTED_ARCHITECTURE')
  })

  it.each([
    ['vocab_size', 0],
    ['vocab_size', -5],
    ['hidden_size', 1.5],
    ['hidden_size', 2 ** 40],
    ['intermediate_size', '24'],
    ['num_hidden_layers', Number.NaN],
    ['num_hidden_layers', 2 ** 53],
    ['max_position_embeddings', [32]],
    ['num_key_value_heads', 3],
    ['head_dim', 3],
    ['rms_norm_eps', 0],
    ['rope_theta', -1],
    ['initializer_range', 'x'],
  ])('refuses %s %o', (key, value) => {
    const error = refusal({ [key]: value })
    expect(error.code).toBe('BAD_MODEL_CONFIG')
    expect(error.message).toContain(key)
  })
})

describe('countParameters', () => {
  it.each([true, false])('counts what the model has (tied: %s)', (tieWordEmbeddings) => {
    const config = { ...TINY_CONFIG, tieWordEmbeddings }
    const model = new CausalLM(config)
    try {
      expect(countParameters(config).total).toBe(model.numParameters)
      const tables = tieWordEmbeddings ? 1 : 2
      expect(model.numParameters - countParameters(config).nonEmbedding).toBe(tables * 53 * 16)
    } finally {
      model.dispose()
    }
  })

  it('gives the presets their advertised sizes', () => {
    const millions = Object.values(LLAMA_PRESETS).map(
      (preset) => Math.round(countParameters(preset).total / 1e4) / 100,
    )
    expect(millions).toEqual([0.99, 2.75, 8.55, 100.09])
  })
})
