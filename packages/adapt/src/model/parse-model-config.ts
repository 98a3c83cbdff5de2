import { ConfigError } from '../errors.js'
import {
  ARCHITECTURES,
  type Architecture,
  assertModelConfig,
  MAX_SIZE,
  type ModelConfig,
  type RopeScaling,
} from './model-config.js'

type Json = Readonly<Record<string, unknown>>

/** What config.json leaves out, by architecture: the defaults of transformers' config classes. */
const DEFAULTS: Readonly<
  Record<Architecture, { numKeyValueHeads?: number; headDim?: number; maxPositionEmbeddings: number }>
> = {
  LlamaForCausalLM: { maxPositionEmbeddings: 2048 },
  MistralForCausalLM: { numKeyValueHeads: 8, maxPositionEmbeddings: 131_072 },
  Qwen2ForCausalLM: { numKeyValueHeads: 32, maxPositionEmbeddings: 32_768 },
  Qwen3ForCausalLM: { numKeyValueHeads: 32, headDim: 128, maxPositionEmbeddings: 32_768 },
}

const isSet = (value: unknown) => value !== undefined && value !== null

/** Keys of config.json that change the computation in ways this model does not have. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  auto_map: isSet,
  quantization_config: isSet,
  hidden_act: (value) => value !== undefined && value !== 'silu',
  attention_dropout: (value) => isSet(value) && value !== 0,
}

function refuse(where: string, key: string, value: unknown): never {
  throw new ConfigError('UNSUPPORTED_MODEL', `${where}: ${key} ${JSON.stringify(value)} is not supported`)
}

function readSize(json: Json, key: string, where: string, fallback?: number): number {
  const value = json[key] ?? fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_SIZE) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: ${key}: expected an integer from 1 to ${MAX_SIZE}, received ${JSON.stringify(value)}`,
    )
  }
  return value
}

function readPositive(json: Json, key: string, where: string, fallback?: number): number {
  const value = json[key] ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: ${key}: expected a number > 0, received ${JSON.stringify(value)}`,
    )
  }
  return value
}

/**
 * Reads Hugging Face's config.json of a supported architecture, as transformers 4 or 5 writes it; what is not
 * computed here is refused by name.
 * @param where  Begins the messages.
 * @throws {ConfigError} UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_MODEL, BAD_MODEL_CONFIG
 */
export function parseModelConfig(json: Json, where: string): ModelConfig {
  const architecture = readArchitecture(json, where)
  for (const [key, isUnsupported] of Object.entries(UNSUPPORTED)) {
    if (isUnsupported(json[key])) refuse(where, key, json[key])
  }
  const defaults = DEFAULTS[architecture]
  const hiddenSize = readSize(json, 'hidden_size', where)
  const numAttentionHeads = readSize(json, 'num_attention_heads', where)
  const maxPositionEmbeddings = readSize(
    json,
    'max_position_embeddings',
    where,
    defaults.maxPositionEmbeddings,
  )
  const rope = readRope(json, where, maxPositionEmbeddings)
  const config: ModelConfig = {
    architecture,
    vocabSize: readSize(json, 'vocab_size', where),
    hiddenSize,
    intermediateSize: readSize(json, 'intermediate_size', where),
    numHiddenLayers: readSize(json, 'num_hidden_layers', where),
    numAttentionHeads,
    // An explicit null means one key/value head per query head; an absent key means the class's default.
    numKeyValueHeads:
      json.num_key_value_heads === null
        ? numAttentionHeads
        : readSize(json, 'num_key_value_heads', where, defaults.numKeyValueHeads ?? numAttentionHeads),
    headDim: readSize(json, 'head_dim', where, defaults.headDim ?? hiddenSize / numAttentionHeads),
    maxPositionEmbeddings,
    rmsNormEps: readPositive(json, 'rms_norm_eps', where, 1e-6),
    ...rope,
    tieWordEmbeddings: json.tie_word_embeddings === true,
    initializerRange: readPositive(json, 'initializer_range', where, 0.02),
    ...readBiases(json, architecture),
    ...readSlidingWindow(json, architecture, where),
  }
  assertModelConfig(config, where)
  return config
}

function readArchitecture(json: Json, where: string): Architecture {
  const named = Array.isArray(json.architectures) ? json.architectures[0] : undefined
  const architecture = ARCHITECTURES.find((known) => known === named)
  if (architecture === undefined) {
    throw new ConfigError(
      'UNSUPPORTED_ARCHITECTURE',
      `${where}: expected architectures to name one of ${ARCHITECTURES.join(', ')}, received ${JSON.stringify(json.architectures)}`,
    )
  }
  return architecture
}

function readBiases(
  json: Json,
  architecture: Architecture,
): Pick<ModelConfig, 'attentionBias' | 'outputBias' | 'mlpBias' | 'qkNorm'> {
  if (architecture === 'MistralForCausalLM') return {}
  if (architecture === 'Qwen2ForCausalLM') return { attentionBias: true }
  const all = json.attention_bias === true ? { attentionBias: true, outputBias: true } : {}
  if (architecture === 'Qwen3ForCausalLM') return { ...all, qkNorm: true }
  return { ...all, ...(json.mlp_bias === true ? { mlpBias: true } : {}) }
}

/** Mistral slides in every layer when a window is set; Qwen only with `use_sliding_window`, from `max_window_layers` on. */
function readSlidingWindow(
  json: Json,
  architecture: Architecture,
  where: string,
): Pick<ModelConfig, 'slidingWindow' | 'slidingLayers'> {
  if (architecture === 'LlamaForCausalLM' || json.sliding_window === null) return {}
  const isQwen = architecture !== 'MistralForCausalLM'
  if (isQwen && json.use_sliding_window !== true) return {}
  const slidingWindow = readSize(json, 'sliding_window', where, 4096)
  if (!isQwen) return { slidingWindow }
  const numLayers = readSize(json, 'num_hidden_layers', where)
  const types = json.layer_types
  if (types !== undefined && types !== null && !Array.isArray(types)) refuse(where, 'layer_types', types)
  const first = typeof json.max_window_layers === 'number' ? json.max_window_layers : 28
  const slidingLayers = Array.isArray(types)
    ? types.map((type) => {
        if (type !== 'full_attention' && type !== 'sliding_attention') refuse(where, 'layer_types', type)
        return type === 'sliding_attention'
      })
    : Array.from({ length: numLayers }, (_, layer) => layer >= first)
  return slidingLayers.includes(true) ? { slidingWindow, slidingLayers } : {}
}

/** `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` with `rope_type` or the older `type`. */
function readRope(
  json: Json,
  where: string,
  maxPositionEmbeddings: number,
): Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'> {
  const key = isSet(json.rope_parameters) ? 'rope_parameters' : 'rope_scaling'
  const given = json[key] ?? {}
  if (typeof given !== 'object' || Array.isArray(given)) refuse(where, key, given)
  const scaling = given as Json
  const ropeTheta = readPositive(isSet(scaling.rope_theta) ? scaling : json, 'rope_theta', where, 10_000)
  const kind = scaling.rope_type ?? scaling.type ?? 'default'
  const partial = scaling.partial_rotary_factor ?? json.partial_rotary_factor
  if (isSet(partial) && partial !== 1) refuse(where, 'partial_rotary_factor', partial)
  const at = `${where}: ${key}`
  if (kind === 'default') return { ropeTheta }
  if (kind === 'linear')
    return { ropeTheta, ropeScaling: { kind, factor: readPositive(scaling, 'factor', at) } }
  if (kind !== 'llama3') refuse(where, `${key}.rope_type`, kind)
  const ropeScaling: RopeScaling = {
    kind: 'llama3',
    factor: readPositive(scaling, 'factor', at),
    lowFreqFactor: readPositive(scaling, 'low_freq_factor', at),
    highFreqFactor: readPositive(scaling, 'high_freq_factor', at),
    originalMaxPositionEmbeddings: readSize(
      scaling,
      'original_max_position_embeddings',
      at,
      maxPositionEmbeddings,
    ),
  }
  if (ropeScaling.highFreqFactor <= ropeScaling.lowFreqFactor) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${at}: expected high_freq_factor (${ropeScaling.highFreqFactor}) above low_freq_factor (${ropeScaling.lowFreqFactor})`,
    )
  }
  return { ropeTheta, ropeScaling }
}
