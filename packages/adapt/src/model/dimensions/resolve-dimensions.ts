import { ConfigError } from '../../errors.js'
import { assertModelConfig, LLAMA_PRESETS, type LlamaPreset, type ModelConfig } from './model-config.js'

/**
 * The dimensions of a new model: a preset or all of them, with what differs.
 * @throws {ConfigError} UNKNOWN_PRESET; BAD_MODEL_CONFIG when the dimensions do not fit each other.
 */
export function resolveDimensions(
  shape: LlamaPreset | ModelConfig,
  overrides: Partial<ModelConfig> = {},
): ModelConfig {
  const base: ModelConfig | undefined = typeof shape === 'string' ? LLAMA_PRESETS[shape] : shape
  if (base === undefined) {
    throw new ConfigError(
      'UNKNOWN_PRESET',
      `expected one of ${Object.keys(LLAMA_PRESETS).join(', ')}, received "${shape}"`,
    )
  }
  const merged = { ...base, ...overrides }
  const { hiddenSize, numAttentionHeads } = merged
  const isResized = overrides.hiddenSize !== undefined || overrides.numAttentionHeads !== undefined
  const headDim =
    isResized && overrides.headDim === undefined ? hiddenSize / numAttentionHeads : merged.headDim
  if (isResized && !Number.isInteger(headDim)) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `model: hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${numAttentionHeads})`,
    )
  }
  const config = { ...merged, headDim }
  assertModelConfig(config, 'model')
  return config
}
