import { ConfigError } from '../../errors.js'

/** Decoders that are computed here, by the name in config.json's `architectures`. */
export const ARCHITECTURES = [
  'LlamaForCausalLM',
  'MistralForCausalLM',
  'Qwen2ForCausalLM',
  'Qwen3ForCausalLM',
] as const

/** Name of a supported architecture, as in config.json. */
export type Architecture = (typeof ARCHITECTURES)[number]

/** How rotary frequencies are stretched for longer contexts; `kind` is Hugging Face's `rope_type`. */
export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalMaxPositionEmbeddings: number
    }

/** Exact dimensions of a decoder, with the meaning of the same keys in Hugging Face's config.json. */
export interface ModelConfig {
  /** Default LlamaForCausalLM. The other fields alone decide what is computed. */
  readonly architecture?: Architecture
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  /** Need not be hiddenSize / numAttentionHeads. */
  readonly headDim: number
  readonly maxPositionEmbeddings: number
  readonly rmsNormEps: number
  readonly ropeTheta: number
  readonly ropeScaling?: RopeScaling
  readonly tieWordEmbeddings: boolean
  readonly initializerRange: number
  /** Biases of q, k and v. Default false. */
  readonly attentionBias?: boolean
  /** Bias of o. Default false. */
  readonly outputBias?: boolean
  /** Biases of the feed-forward layer. Default false. */
  readonly mlpBias?: boolean
  /** RMSNorm over each head of q and k (Qwen3). Default false. */
  readonly qkNorm?: boolean
  /** Position t of a sliding layer looks at t - slidingWindow + 1 .. t. Default: all layers look at everything before. */
  readonly slidingWindow?: number
  /** Which layers slide, one entry each; default with a window: all. */
  readonly slidingLayers?: readonly boolean[]
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

/** A model file may not ask for more: products of sizes stay far below 2^53. */
export const MAX_SIZE = 1 << 24

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
  const { slidingWindow, slidingLayers, numHiddenLayers } = config
  if (slidingWindow !== undefined && !(Number.isInteger(slidingWindow) && slidingWindow >= 1)) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: sliding_window: expected an integer >= 1, received ${slidingWindow}`,
    )
  }
  if (slidingLayers !== undefined && slidingLayers.length !== numHiddenLayers) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: layer_types: expected ${numHiddenLayers} entries, received ${slidingLayers.length}`,
    )
  }
}

/** Whether a layer looks back no further than the sliding window. */
export function isSlidingLayer(config: ModelConfig, layer: number): boolean {
  return config.slidingWindow !== undefined && (config.slidingLayers?.[layer] ?? true)
}

/** Parameters, with and without the embedding and head: FLOPs are reported under both conventions. */
export function countParameters(config: ModelConfig): {
  readonly total: number
  readonly nonEmbedding: number
} {
  const { hiddenSize: d, intermediateSize: f, headDim: e } = config
  const [q, kv] = [config.numAttentionHeads * e, config.numKeyValueHeads * e]
  const attention = 2 * d * q + 2 * d * kv
  const biases =
    (config.attentionBias ? q + 2 * kv : 0) + (config.outputBias ? d : 0) + (config.mlpBias ? 2 * f + d : 0)
  const norms = 2 * d + (config.qkNorm ? 2 * e : 0)
  const nonEmbedding = config.numHiddenLayers * (attention + 3 * d * f + biases + norms) + d
  const tables = config.tieWordEmbeddings ? 1 : 2
  return { total: nonEmbedding + tables * config.vocabSize * d, nonEmbedding }
}
