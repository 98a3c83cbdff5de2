import { describe, expect, it } from 'vitest'
import { type AdaptError, ConfigError } from '../../errors.js'
import { CausalLM } from '../decoder/causal-lm.js'
import { TINY_CONFIG } from '../tiny-llama.test.fixture.js'
import { toHuggingFaceConfig } from './huggingface-config.js'
import { countParameters, LLAMA_PRESETS } from './model-config.js'
import { parseModelConfig } from './parse-model-config.js'

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
    expect(parseModelConfig(JSON.parse(JSON.stringify(written)), 'x')).toEqual({
      architecture: 'LlamaForCausalLM',
      ...TINY_CONFIG,
    })
  })

  it('takes what config.json leaves out from the defaults of its class', () => {
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
      architecture: 'LlamaForCausalLM',
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
    ['rope_parameters.partial_rotary_factor', { rope_parameters: { partial_rotary_factor: 0.5 } }],
    ['rope_scaling.rope_type', { rope_scaling: { type: 'dynamic', factor: 8 } }],
    ['rope_parameters.rope_type', { rope_parameters: { rope_type: 'yarn' } }],
    ['quantization_config', { quantization_config: { bits: 4 } }],
    ['hidden_act', { hidden_act: 'gelu' }],
    ['hidden_activation', { hidden_activation: 'gelu' }],
    ['is_causal', { is_causal: false }],
    ['use_bidirectional_attention', { use_bidirectional_attention: true }],
    ['rotary_pct', { rotary_pct: 0.25 }],
    ['attention_multiplier', { attention_multiplier: 0.01 }],
    ['residual_multiplier', { residual_multiplier: 0.2 }],
    ['logits_scaling', { logits_scaling: 8 }],
    ['final_logit_softcapping', { final_logit_softcapping: 30 }],
    ['scale_emb', { scale_emb: 12 }],
    ['num_local_experts', { num_local_experts: 8 }],
    ['no_rope_layers', { no_rope_layers: [0, 1] }],
    ['dual_chunk_attention_config', { dual_chunk_attention_config: { chunk_size: 4 } }],
    ['sliding_window', { sliding_window: 4096 }],
    ['partial_rotary_factor', { partial_rotary_factor: 0.5, rope_parameters: { partial_rotary_factor: 1 } }],
    ['rope_parameters.full_attention', { rope_parameters: { full_attention: { rope_theta: 500 } } }],
    ['rope_scaling.mrope_section', { rope_scaling: { type: 'default', mrope_section: [1, 1] } }],
    ['rope_scaling: factor', { rope_scaling: { factor: 8 } }],
  ])('refuses %s by name', (key, change) => {
    const error = refusal(change)
    expect(error.code).toBe('UNSUPPORTED_MODEL')
    expect(error.message).toContain(`here/config.json: ${key}`)
  })

  it('refuses another architecture by name', () => {
    const error = refusal({ architectures: ['GPT2LMHeadModel'] })
    expect(error.code).toBe('UNSUPPORTED_ARCHITECTURE')
    expect(error.message).toContain('GPT2LMHeadModel')
    expect(error.message).toContain('Qwen3ForCausalLM')
    expect(refusal({ architectures: 'LlamaForCausalLM' }).code).toBe('UNSUPPORTED_ARCHITECTURE')
    expect(refusal({ architectures: undefined, model_type: 'phi3' }).code).toBe('UNSUPPORTED_ARCHITECTURE')
    expect(refusal({ architectures: undefined, model_type: undefined }).code).toBe('UNSUPPORTED_ARCHITECTURE')
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
    ['tie_word_embeddings', 'true'],
    ['attention_bias', 1],
  ])('refuses %s %o', (key, value) => {
    const error = refusal({ [key]: value })
    expect(error.code).toBe('BAD_MODEL_CONFIG')
    expect(error.message).toContain(key)
  })
})

describe('keys of config.json that disagree', () => {
  const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 }

  it.each([
    [
      { rope_theta: 500, rope_parameters: { rope_theta: 77 } },
      'rope_theta 500 and rope_parameters.rope_theta 77',
    ],
    [
      { rope_scaling: { rope_type: 'linear', type: 'llama3' } },
      'rope_type "linear" and rope_scaling.type "llama3"',
    ],
    [
      { rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'linear', factor: 4 } },
      'rope_scaling {"type":"linear","factor":2} and rope_parameters {"rope_type":"linear","factor":4}',
    ],
    [
      {
        original_max_position_embeddings: 16,
        rope_scaling: { ...llama3, original_max_position_embeddings: 8 },
      },
      'original_max_position_embeddings 16 and rope_scaling.original_max_position_embeddings 8',
    ],
    [{ model_type: 'mistral' }, 'architectures ["LlamaForCausalLM"] and model_type "mistral"'],
    [{ dtype: 'bfloat16' }, 'dtype "bfloat16" and torch_dtype "float32"'],
    [{ layer_norm_eps: 0.1 }, 'rms_norm_eps 0.00001 and layer_norm_eps 0.1'],
    [{ tie_embeddings: true }, 'tie_word_embeddings false and tie_embeddings true'],
    [{ use_qk_norm: true }, 'qk_norm false and use_qk_norm true'],
    [{ rotary_emb_base: 500 }, 'rope_theta 10000 and rotary_emb_base 500'],
    [{ n_heads: 8 }, `num_attention_heads ${TINY_CONFIG.numAttentionHeads} and n_heads 8`],
    [{ kv_channels: 2 }, `head_dim ${TINY_CONFIG.headDim} and kv_channels 2`],
  ])('%o is an error with both values', (change, text) => {
    expect(refusal(change)).toMatchObject({
      code: 'BAD_MODEL_CONFIG',
      message: expect.stringMatching(/^here\/config\.json: .* disagree/),
    })
    expect(refusal(change).message).toContain(text)
  })

  it.each([
    [
      { architectures: ['MistralForCausalLM'], sliding_window: 4, use_sliding_window: false },
      'use_sliding_window',
    ],
    [
      { architectures: ['Qwen2ForCausalLM'], layer_types: ['full_attention', 'sliding_attention'] },
      'layer_types',
    ],
    [
      { architectures: ['Qwen2ForCausalLM'], use_sliding_window: true, sliding_window: null },
      'sliding_window',
    ],
    [{ architectures: ['Qwen2ForCausalLM'], layer_types: ['full_attention'] }, 'num_hidden_layers'],
  ])('windows: %o is an error', (change, text) => {
    const error = refusal({ model_type: undefined, ...change })
    expect(error.code).toBe('BAD_MODEL_CONFIG')
    expect(error.message).toContain(text)
  })

  it.each([
    { rope_theta: 10_000, rope_parameters: { rope_theta: 10_000, rope_type: 'default' } },
    { rope_scaling: {}, rope_parameters: { rope_type: 'default', factor: 1 } },
    { dtype: 'torch.float32', layer_norm_eps: 1e-5, qk_norm: false },
    { attention_multiplier: 1, logits_scaling: null, final_logit_softcapping: 0, use_mrope: false },
    { num_local_experts: 0, hidden_dropout: 0, is_encoder_decoder: false, is_causal: true },
    { hidden_act: 'swish', hidden_activation: 'silu', pretraining_tp: 2, rope_interleaved: false },
  ])('%o agrees', (change) => {
    const expected = parseModelConfig(JSON.parse(JSON.stringify(written)), 'x')
    expect(parseModelConfig({ ...written, ...change }, 'x')).toEqual(expected)
  })
})

describe('the architectures', () => {
  const parse = (change: Record<string, unknown>) => parseModelConfig({ ...written, ...change }, 'x')

  it('has biases where the class has them', () => {
    expect(parse({ attention_bias: true, mlp_bias: true })).toMatchObject({
      attentionBias: true,
      outputBias: true,
      mlpBias: true,
    })
    const qwen2 = parse({ architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' })
    expect(qwen2.attentionBias).toBe(true)
    expect(qwen2.outputBias).toBeUndefined()
    expect(
      parse({ architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: undefined }),
    ).toMatchObject({
      qkNorm: true,
      headDim: 128,
    })
  })

  it('slides in all layers of Mistral, and in the upper ones of Qwen when it is told to', () => {
    const { sliding_window: _, ...mistral } = {
      ...written,
      architectures: ['MistralForCausalLM'],
      model_type: 'mistral',
    } as Record<string, unknown>
    expect(parseModelConfig(mistral, 'x').slidingWindow).toBe(4096)
    expect(parseModelConfig({ ...mistral, sliding_window: null }, 'x').slidingWindow).toBeUndefined()
    const qwen = {
      architectures: ['Qwen2ForCausalLM'],
      model_type: 'qwen2',
      sliding_window: 8,
      max_window_layers: 1,
    }
    expect(parse(qwen).slidingWindow).toBeUndefined()
    expect(parse({ ...qwen, use_sliding_window: true })).toMatchObject({
      slidingWindow: 8,
      slidingLayers: [false, true],
    })
    expect(
      parse({ ...qwen, use_sliding_window: true, layer_types: ['sliding_attention', 'full_attention'] })
        .slidingLayers,
    ).toEqual([true, false])
  })

  it('reads scaled rotary positions in the old and the new spelling', () => {
    const llama3 = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    }
    const expected = {
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 16,
    }
    expect(parse({ rope_scaling: { type: 'llama3', ...llama3 } }).ropeScaling).toEqual(expected)
    const { original_max_position_embeddings, ...scaling } = { ...llama3, rope_type: 'llama3' }
    expect(parse({ rope_scaling: scaling, original_max_position_embeddings }).ropeScaling).toEqual(expected)
    expect(parse({ rope_parameters: {}, rope_scaling: scaling }).ropeScaling).toEqual({
      ...expected,
      originalMaxPositionEmbeddings: 32,
    })
    const parameters = { rope_type: 'llama3', rope_theta: 77, ...llama3 }
    expect(parse({ rope_theta: undefined, rope_parameters: parameters })).toMatchObject({
      ropeTheta: 77,
      ropeScaling: expected,
    })
    expect(parse({ rope_scaling: { rope_type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      kind: 'linear',
      factor: 2,
    })
    expect(refusal({ rope_scaling: { ...llama3, rope_type: 'llama3', high_freq_factor: 1 } }).code).toBe(
      'BAD_MODEL_CONFIG',
    )
  })

  it.each([
    { architecture: 'MistralForCausalLM', slidingWindow: 6 },
    { architecture: 'Qwen2ForCausalLM', attentionBias: true, slidingWindow: 6, slidingLayers: [false, true] },
    { architecture: 'Qwen3ForCausalLM', qkNorm: true },
    { architecture: 'LlamaForCausalLM', attentionBias: true, outputBias: true, mlpBias: true },
    { architecture: 'LlamaForCausalLM', ropeScaling: { kind: 'linear', factor: 3 } },
  ] as const)('writes what it reads: %o', (change) => {
    const config = { ...TINY_CONFIG, ...change }
    expect(parseModelConfig(toHuggingFaceConfig(config, { dtype: 'float32' }), 'x')).toEqual(config)
    using model = new CausalLM(config)
    expect(countParameters(config).total).toBe(model.numParameters)
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
