import { ConfigError } from '../errors.js'

/** Exact dimensions of a model, with the meaning of the same keys in Hugging Face's LlamaConfig. */
export interface ModelConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  readonly headDim: number
  readonly maxPositionEmbeddings: number
  readonly rmsNormEps: number
  readonly ropeTheta: number
  readonly tieWordEmbeddings: boolean
  readonly initializerRange: number
}

const common = { rmsNormEps: 1e-5, ropeTheta: 10_000, initializerRange: 0.02 } as const

/** Model presets. The vocabulary is the tokenizer's unless the config says otherwise. */
export const LLAMA_PRESETS = {
  /** 0.99M parameters with a vocabulary of 2,048. */
  'llama-1m': {
    ...common,
    vocabSize: 2048,
    hiddenSize: 128,
    intermediateSize: 344,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 32,
    maxPositionEmbeddings: 1024,
    tieWordEmbeddings: true,
  },
  /** 2.75M with 4,096. */
  'llama-3m': {
    ...common,
    vocabSize: 4096,
    hiddenSize: 192,
    intermediateSize: 512,
    numHiddenLayers: 5,
    numAttentionHeads: 6,
    numKeyValueHeads: 2,
    headDim: 32,
    maxPositionEmbeddings: 1024,
    tieWordEmbeddings: true,
  },
  /** 8.55M with 8,192. */
  'llama-10m': {
    ...common,
    vocabSize: 8192,
    hiddenSize: 256,
    intermediateSize: 688,
    numHiddenLayers: 6,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
    headDim: 32,
    maxPositionEmbeddings: 2048,
    tieWordEmbeddings: false,
  },
  /** 100M with 32,000 and a tied head: 12 layers of width 768. */
  'llama-120m': {
    ...common,
    vocabSize: 32_000,
    hiddenSize: 768,
    intermediateSize: 2048,
    numHiddenLayers: 12,
    numAttentionHeads: 12,
    numKeyValueHeads: 4,
    headDim: 64,
    maxPositionEmbeddings: 2048,
    tieWordEmbeddings: true,
  },
} as const satisfies Record<string, ModelConfig>

/** Id of a built-in model shape. */
export type LlamaPreset = keyof typeof LLAMA_PRESETS

/** Keys of config.json that change the computation in ways this model does not have. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  auto_map: (value) => value !== undefined && value !== null,
  attention_bias: (value) => value === true,
  mlp_bias: (value) => value === true,
  rope_scaling: (value) => value !== undefined && value !== null,
  quantization_config: (value) => value !== undefined && value !== null,
  hidden_act: (value) => value !== undefined && value !== 'silu',
  attention_dropout: (value) => value !== undefined && value !== 0,
}

/** A model file may not ask for more: products of sizes stay far below 2^53. */
const MAX_SIZE = 1 << 24

function readSize(json: Record<string, unknown>, key: string, where: string, fallback?: number): number {
  const value = json[key] ?? fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_SIZE) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: ${key}: expected an integer from 1 to ${MAX_SIZE}, received ${JSON.stringify(value)}`,
    )
  }
  return value
}

function readPositive(json: Record<string, unknown>, key: string, where: string, fallback: number): number {
  const value = json[key] ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: ${key}: expected a number > 0, received ${JSON.stringify(value)}`,
    )
  }
  return value
}

/** Reads Hugging Face's config.json of a LlamaForCausalLM; what is not supported is refused by name. */
export function parseModelConfig(json: Record<string, unknown>, where: string): ModelConfig {
  const architecture = Array.isArray(json.architectures) ? json.architectures[0] : undefined
  if (architecture !== 'LlamaForCausalLM') {
    throw new ConfigError(
      'UNSUPPORTED_ARCHITECTURE',
      `${where}: expected architectures ["LlamaForCausalLM"], received ${JSON.stringify(json.architectures)}`,
    )
  }
  for (const [key, isSet] of Object.entries(UNSUPPORTED)) {
    if (isSet(json[key]))
      throw new ConfigError(
        'UNSUPPORTED_MODEL',
        `${where}: ${key} ${JSON.stringify(json[key])} is not supported`,
      )
  }
  const parameters = json.rope_parameters as Record<string, unknown> | undefined
  if (parameters && parameters.rope_type !== undefined && parameters.rope_type !== 'default') {
    throw new ConfigError(
      'UNSUPPORTED_MODEL',
      `${where}: rope_parameters.rope_type ${JSON.stringify(parameters.rope_type)} is not supported`,
    )
  }
  const hiddenSize = readSize(json, 'hidden_size', where)
  const numAttentionHeads = readSize(json, 'num_attention_heads', where)
  const config: ModelConfig = {
    vocabSize: readSize(json, 'vocab_size', where),
    hiddenSize,
    intermediateSize: readSize(json, 'intermediate_size', where),
    numHiddenLayers: readSize(json, 'num_hidden_layers', where),
    numAttentionHeads,
    numKeyValueHeads: readSize(json, 'num_key_value_heads', where, numAttentionHeads),
    headDim: readSize(json, 'head_dim', where, hiddenSize / numAttentionHeads),
    maxPositionEmbeddings: readSize(json, 'max_position_embeddings', where, 2048),
    rmsNormEps: readPositive(json, 'rms_norm_eps', where, 1e-6),
    ropeTheta: readPositive({ ...parameters, ...json }, 'rope_theta', where, 10_000),
    tieWordEmbeddings: json.tie_word_embeddings === true,
    initializerRange: readPositive(json, 'initializer_range', where, 0.02),
  }
  assertModelConfig(config, where)
  return config
}

const SIZES = [
  'vocabSize',
  'hiddenSize',
  'intermediateSize',
  'numHiddenLayers',
  'numAttentionHeads',
  'numKeyValueHeads',
  'headDim',
  'maxPositionEmbeddings',
] as const satisfies readonly (keyof ModelConfig)[]

/**
 * Checks that the dimensions are whole numbers and fit each other.
 * @param where  Begins the message.
 * @throws {ConfigError} BAD_MODEL_CONFIG
 */
export function assertModelConfig(config: ModelConfig, where: string): void {
  for (const key of SIZES) {
    if (Number.isInteger(config[key]) && config[key] >= 1 && config[key] <= MAX_SIZE) continue
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: ${key}: expected an integer from 1 to ${MAX_SIZE}, received ${config[key]}`,
    )
  }
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: num_attention_heads (${config.numAttentionHeads}) must be a multiple of num_key_value_heads (${config.numKeyValueHeads})`,
    )
  }
  if (config.headDim % 2 !== 0)
    throw new ConfigError('BAD_MODEL_CONFIG', `${where}: head_dim must be even, received ${config.headDim}`)
}

/** config.json as transformers writes and reads it. */
export function toHuggingFaceConfig(
  config: ModelConfig,
  {
    dtype,
    bosId,
    eosId,
    padId,
  }: { dtype: string; bosId?: number | undefined; eosId?: number | undefined; padId?: number | undefined },
): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
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
    rope_scaling: null,
    hidden_act: 'silu',
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    tie_word_embeddings: config.tieWordEmbeddings,
    initializer_range: config.initializerRange,
    use_cache: true,
    torch_dtype: dtype,
    bos_token_id: bosId ?? null,
    eos_token_id: eosId ?? null,
    pad_token_id: padId ?? null,
  }
}

/** Parameters, with and without the embedding and head: FLOPs are reported under both conventions. */
export function countParameters(config: ModelConfig): {
  readonly total: number
  readonly nonEmbedding: number
} {
  const { hiddenSize: d, intermediateSize: f, headDim: e } = config
  const attention = 2 * d * config.numAttentionHeads * e + 2 * d * config.numKeyValueHeads * e
  const nonEmbedding = config.numHiddenLayers * (attention + 3 * d * f + 2 * d) + d
  const tables = config.tieWordEmbeddings ? 1 : 2
  return { total: nonEmbedding + tables * config.vocabSize * d, nonEmbedding }
}
