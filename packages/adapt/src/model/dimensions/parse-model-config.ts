import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import { isSet, type Json, readFlag, readPositive, readSize } from './config-values.js'
import { MODEL_TYPES } from './huggingface-config.js'
import { ARCHITECTURES, type Architecture, assertModelConfig, type ModelConfig } from './model-config.js'
import { readRope } from './read-rope.js'
import { readSlidingWindow } from './read-sliding-window.js'
import { refuseForeignKeys, requireOneMeaning } from './refuse-config-keys.js'

/** What config.json leaves out, by architecture: the defaults of transformers' config classes. */
const DEFAULTS: Readonly<
  Record<Architecture, { numKeyValueHeads?: number; headDim?: number; maxPositionEmbeddings: number }>
> = {
  LlamaForCausalLM: { maxPositionEmbeddings: 2048 },
  MistralForCausalLM: { numKeyValueHeads: 8, maxPositionEmbeddings: 131_072 },
  Qwen2ForCausalLM: { numKeyValueHeads: 32, maxPositionEmbeddings: 32_768 },
  Qwen3ForCausalLM: { numKeyValueHeads: 32, headDim: 128, maxPositionEmbeddings: 32_768 },
}

/**
 * Reads Hugging Face's config.json of a supported architecture, as transformers 4 or 5 writes it; what is not
 * computed here is refused by name.
 * @param where  Begins the messages.
 * @throws {ConfigError} UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_MODEL, BAD_MODEL_CONFIG
 */
export function parseModelConfig(json: Json, where: string): ModelConfig {
  const architecture = readArchitecture(json, where)
  refuseForeignKeys(json, where)
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
    tieWordEmbeddings: readFlag(json, 'tie_word_embeddings', where),
    initializerRange: readPositive(json, 'initializer_range', where, 0.02),
    ...readBiases(json, architecture, where),
    ...readSlidingWindow(json, architecture, where),
  }
  requireOneMeaning(json, config, where)
  assertModelConfig(config, where)
  return config
}

/** From `architectures`, else from `model_type`, which is what transformers goes by: they must not contradict each other. */
function readArchitecture(json: Json, where: string): Architecture {
  const { architectures, model_type: modelType } = json
  const named = isSet(architectures)
    ? architectures
    : ARCHITECTURES.filter((a) => MODEL_TYPES[a] === modelType)
  const architecture =
    Array.isArray(named) && named.length === 1 ? ARCHITECTURES.find((known) => known === named[0]) : undefined
  if (architecture === undefined) {
    throw new ConfigError(
      'UNSUPPORTED_ARCHITECTURE',
      `${where}: expected architectures to name one of ${ARCHITECTURES.join(', ')}, received ` +
        printable(JSON.stringify(architectures) ?? 'undefined', 120),
    )
  }
  if (isSet(modelType) && modelType !== MODEL_TYPES[architecture]) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: architectures ["${architecture}"] and model_type ${printable(JSON.stringify(modelType) ?? '', 80)} ` +
        `disagree; ${architecture} goes with "${MODEL_TYPES[architecture]}"`,
    )
  }
  return architecture
}

function readBiases(
  json: Json,
  architecture: Architecture,
  where: string,
): Pick<ModelConfig, 'attentionBias' | 'outputBias' | 'mlpBias' | 'qkNorm'> {
  if (architecture === 'MistralForCausalLM') return {}
  if (architecture === 'Qwen2ForCausalLM') return { attentionBias: true }
  const all = readFlag(json, 'attention_bias', where) ? { attentionBias: true, outputBias: true } : {}
  if (architecture === 'Qwen3ForCausalLM') return { ...all, qkNorm: true }
  return { ...all, ...(readFlag(json, 'mlp_bias', where) ? { mlpBias: true } : {}) }
}
