import type { ModelConfig } from '../model/dimensions/model-config.js'
import { projectionShapes } from '../model/dimensions/projection-shapes.js'
import { type AdapterSpec, adaptedLayers, estimateParameters } from './estimate-parameters.js'

/** What memory depends on besides the model's dimensions. */
export interface MemorySetting {
  /** Rows of one forward, and positions of a row. */
  readonly rows: number
  readonly length: number
  /** Bytes of a frozen weight: 2 in bfloat16, else 4. Trained weights are float32. */
  readonly baseBytes: 2 | 4
  /** Bytes of an operand of a matrix product: 2 under bfloat16 autocast, else 4. */
  readonly computeBytes: 2 | 4
  readonly checkpointing: boolean
  /** Positions whose logits exist at once. */
  readonly lossChunkSize: number
  /** Whether a moving average of what is trained is kept. Default false. */
  readonly keepsAverage?: boolean
  readonly lora?: AdapterSpec & { readonly dropout: number }
  /** Ranks that share every step. Default 1. */
  readonly ranks?: number
  /** Whether each of them keeps its share of the moments alone. */
  readonly shardedMoments?: boolean
  /** Whether attention, activations and the loss run on kernels of ours, which keep less and make again what linear layers read: the CPU. Default false. */
  readonly ownKernels?: boolean
}

/** Bytes by part at the peak of a training step. */
export interface MemoryEstimate {
  readonly weights: number
  readonly adapters: number
  readonly gradients: number
  /** Both moments of AdamW. */
  readonly moments: number
  /** Moving average of what is trained. */
  readonly average: number
  /** Of several ranks: pieces of gradients that come from the others, at most all of them at once. */
  readonly exchange: number
  /** What forward keeps for backward; also copies of weights stored in another dtype than products are made in. */
  readonly activations: number
  /** Logits of one chunk and what the loss makes of them; where that is more, what the backward of one block makes. */
  readonly transient: number
  readonly total: number
}

const FLOAT32 = 4

/**
 * Bytes that a training step needs at its peak, from dimensions alone. The sum of the parts is an upper bound:
 * gradients grow while activations are freed. docs/estimate.md derives the figures.
 */
export function estimateMemory(config: ModelConfig, setting: MemorySetting): MemoryEstimate {
  const { rows, length, baseBytes, lora, ranks = 1, shardedMoments = false } = setting
  const counts = estimateParameters(config, lora)
  const numAdapter = lora === undefined ? 0 : counts.trainable
  const base = counts.total - numAdapter
  const parts = {
    weights: base * (lora === undefined ? FLOAT32 : baseBytes),
    adapters: numAdapter * FLOAT32,
    gradients: counts.trainable * FLOAT32,
    moments: (2 * counts.trainable * FLOAT32) / (shardedMoments ? ranks : 1),
    exchange: ranks > 1 ? counts.trainable * FLOAT32 : 0,
    average: setting.keepsAverage === true ? counts.trainable * FLOAT32 : 0,
    activations:
      rows * length * activationBytesPerToken(config, setting) + roundedWeightBytes(config, setting),
    transient: Math.max(logitBytes(config, setting), backwardBytes(config, setting)),
  }
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) }
}

/** Of the whole model: blocks, final norm, and the hidden states with their gradient that the loss works on. */
function activationBytesPerToken(config: ModelConfig, setting: MemorySetting): number {
  const { hiddenSize: d, numHiddenLayers } = config
  const { checkpointing, baseBytes, computeBytes, lora } = setting
  const blocks = blockBytesPerToken(config, setting)
  // The residual stream has the dtype of the embedding.
  const stream = d * (lora === undefined ? FLOAT32 : Math.max(baseBytes, computeBytes === 2 ? 2 : FLOAT32))
  // The recomputed block stands whole while its gradients come.
  const blockGradients = gradientBytesPerToken(config, computeBytes)
  const kept = checkpointing
    ? numHiddenLayers * stream + Math.max(...blocks) + blockGradients
    : blocks.reduce((sum, bytes) => sum + bytes, 0)
  return kept + 5 * d * FLOAT32
}

/** Of gate and up and of the hidden states before and behind them. */
const gradientBytesPerToken = ({ intermediateSize, hiddenSize }: ModelConfig, computeBytes: number) =>
  2 * intermediateSize * computeBytes + 2 * hiddenSize * FLOAT32

/** Gradients of the last block, and the product of gate and up made again. Gradients of a block that recomputes are counted with its activations. */
function backwardBytes(
  config: ModelConfig,
  { rows, length, computeBytes, checkpointing }: MemorySetting,
): number {
  const perToken = gradientBytesPerToken(config, computeBytes) + config.intermediateSize * computeBytes
  return checkpointing ? 0 : rows * length * perToken
}

/** What each block keeps for backward, bytes a token. A linear layer keeps its input only where a weight beside it is trained. */
function blockBytesPerToken(config: ModelConfig, setting: MemorySetting): readonly number[] {
  const { hiddenSize: d, intermediateSize: f, headDim: e, numHiddenLayers: layers } = config
  const { computeBytes: c, lora, ownKernels = false } = setting
  const [q, kv] = [config.numAttentionHeads * e, config.numKeyValueHeads * e]
  const adapted = lora && adaptedLayers(config, lora)
  return Array.from({ length: layers }, (_, layer) => {
    const learns = (name: string) => adapted === undefined || adapted.has(`model.layers.${layer}.${name}`)
    // Layers share their input.
    const input = (width: number, names: readonly string[], isMadeAgain = false) => {
      const learning = names.filter(learns)
      const inputs = isMadeAgain ? 0 : Math.min(1, learning.length)
      const dropped = lora !== undefined && lora.dropout > 0 ? 2 * learning.length : 0
      const low = lora === undefined ? 0 : learning.length * lora.r
      return (inputs + dropped) * width * c + low * c
    }
    const norms = 2 * d * FLOAT32
    const heads = 2 * q + 2 * kv
    const headNorms = config.qkNorm ? (q + kv) * FLOAT32 : 0
    // Our attention gives its result in the order that the next layer reads.
    const attended = input(q, ['self_attn.o_proj']) - (ownKernels && learns('self_attn.o_proj') ? q * c : 0)
    // What frozen weights make of frozen weights has no node that could make it again: the first norm of a LoRA model.
    const isFirstFrozen = lora !== undefined && layer === 0
    return (
      norms +
      input(d, ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'], ownKernels && !isFirstFrozen) +
      headNorms +
      heads * c +
      attended +
      input(d, ['mlp.gate_proj', 'mlp.up_proj'], ownKernels) +
      (ownKernels ? 2 : 3) * f * c +
      input(f, ['mlp.down_proj'], ownKernels)
    )
  })
}

/** Copies of matrices stored in another dtype than products are made in, which backward needs: of one block at a time where it recomputes. */
function roundedWeightBytes(
  config: ModelConfig,
  { computeBytes, baseBytes, lora, checkpointing }: MemorySetting,
): number {
  const storedBytes = lora === undefined ? FLOAT32 : baseBytes
  if (storedBytes === computeBytes) return 0
  const matrices = projectionShapes(config).reduce(
    (sum, shape) => sum + shape.inFeatures * shape.outFeatures,
    0,
  )
  return (computeBytes * matrices) / (checkpointing ? config.numHiddenLayers : 1)
}

/**
 * Logits in the dtype of products, which a kernel of ours turns into the residual where they are; without it log-probabilities in float32 and the
 * residual beside them. The head in the dtype of products and transposed.
 */
function logitBytes(
  config: ModelConfig,
  { rows, length, computeBytes: c, lossChunkSize, ownKernels = false }: MemorySetting,
): number {
  const positions = Math.min(lossChunkSize, rows * length)
  const perPosition = ownKernels ? c : FLOAT32 + c + (c === 2 ? 2 : 0)
  const head = config.vocabSize * config.hiddenSize * c
  return positions * config.vocabSize * perPosition + head
}
