import type { Architecture, ModelConfig, RopeScaling } from './model-config.js'

/** `model_type` of an architecture. */
export const MODEL_TYPES: Readonly<Record<Architecture, string>> = {
  LlamaForCausalLM: 'llama',
  MistralForCausalLM: 'mistral',
  Qwen2ForCausalLM: 'qwen2',
  Qwen3ForCausalLM: 'qwen3',
}

function ropeScalingJson(scaling: RopeScaling | undefined): Record<string, unknown> | null {
  if (scaling === undefined) return null
  if (scaling.kind === 'linear') return { rope_type: 'linear', factor: scaling.factor }
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
  }
}

/** The keys of one architecture that the others do not have. */
function ownKeys(config: ModelConfig, architecture: Architecture): Record<string, unknown> {
  const { slidingWindow, slidingLayers, numHiddenLayers } = config
  const layerTypes = Array.from({ length: numHiddenLayers }, (_, layer) =>
    (slidingLayers?.[layer] ?? true) ? 'sliding_attention' : 'full_attention',
  )
  const qwenWindow = {
    use_sliding_window: slidingWindow !== undefined,
    sliding_window: slidingWindow ?? null,
    ...(slidingWindow === undefined ? {} : { layer_types: layerTypes }),
  }
  switch (architecture) {
    case 'LlamaForCausalLM':
      return { attention_bias: config.attentionBias ?? false, mlp_bias: config.mlpBias ?? false }
    case 'MistralForCausalLM':
      return {
        sliding_window: slidingWindow ?? null,
        ...(slidingLayers === undefined ? {} : { layer_types: layerTypes }),
      }
    case 'Qwen2ForCausalLM':
      return qwenWindow
    case 'Qwen3ForCausalLM':
      return { attention_bias: config.attentionBias ?? false, ...qwenWindow }
  }
}

/** config.json as transformers 4 and 5 and vLLM read it. */
export function toHuggingFaceConfig(
  config: ModelConfig,
  {
    dtype,
    bosId,
    eosId,
    padId,
  }: { dtype: string; bosId?: number | undefined; eosId?: number | undefined; padId?: number | undefined },
): Record<string, unknown> {
  const { architecture = 'LlamaForCausalLM' } = config
  return {
    architectures: [architecture],
    model_type: MODEL_TYPES[architecture],
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    num_key_value_heads: config.numKeyValueHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxPositionEmbeddings,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: ropeScalingJson(config.ropeScaling),
    hidden_act: 'silu',
    attention_dropout: 0,
    ...ownKeys(config, architecture),
    tie_word_embeddings: config.tieWordEmbeddings,
    initializer_range: config.initializerRange,
    use_cache: true,
    torch_dtype: dtype,
    bos_token_id: bosId ?? null,
    eos_token_id: eosId ?? null,
    pad_token_id: padId ?? null,
  }
}
