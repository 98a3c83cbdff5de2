/** B rows, T positions, D width. */
import {
  autocast,
  backward,
  type DType,
  detach,
  enableGrad,
  fill_,
  grad,
  indexCopy_,
  indexSelect,
  narrow,
  nn,
  noGrad,
  reshape,
  scope,
  type Tensor,
  unsqueeze,
  zeros,
} from '@adapt-ts/torch'
import { ConfigError } from '../../errors.js'
import { AdapterDropout } from '../lora/adapter-dropout.js'
import { fitsSequenceAttention, sequencesOf } from './attend-sequences.js'
import { attentionGroups, attentionMask, masksOf, OPEN_MASK, packedMask } from './attention.js'
import type { CausalLM } from './causal-lm.js'
import type { ForwardContext } from './forward-context.js'
import { LinearTaps, sampleOfPositions, type TappedLayer } from './linear-taps.js'
import type { ModelInputs } from './model-inputs.js'

/** Precision and memory of a forward. */
export interface ForwardOptions {
  /** Matrix products in this dtype; undefined or float32 leaves everything in float32. */
  readonly autocastDtype?: DType | undefined
  /** Keep only each block's input and recompute in backward. */
  readonly checkpoint?: boolean
  /** Seed of this step's dropout; the same on all ranks. Default 0. Only adapters with `loraDropout` use it. */
  readonly dropoutSeed?: number
}

/** One forward that can be taken back once. Belongs to the scope in which it was made. */
export interface ForwardPass {
  /** float32 [B, T, D] after the final norm, of no meaning on padding, cut off from the graph: a leaf for what is built on top. */
  readonly hidden_BTD: Tensor
  /** Accumulates the body's parameter gradients from d loss / d hidden. */
  backward(gradient_BTD: Tensor): void
}

/** Frees the handle of a block's input as soon as the block has run; autograd keeps what backward needs. */
function replace(old: Tensor, next: Tensor): Tensor {
  old.dispose()
  return next
}

/** @throws {ConfigError} SEQUENCE_TOO_LONG */
export function assertFits({ config }: CausalLM, length: number): void {
  if (length <= config.maxPositionEmbeddings) return
  throw new ConfigError(
    'SEQUENCE_TOO_LONG',
    `max_length: the batch has ${length} positions, the model was made for ${config.maxPositionEmbeddings} (max_position_embeddings)`,
  )
}

/** What the blocks share for these inputs. Belongs to the current scope. @throws {ConfigError} SEQUENCE_TOO_LONG */
export function prepareForward(model: CausalLM, inputs: ModelInputs, computeDtype?: DType): ForwardContext {
  const { length } = inputs.batch
  assertFits(model, length)
  const { config, device } = model
  const rotation = model.rotation(inputs.position_BT, length)
  const window = config.slidingWindow
  const shared = { rotation, computeDtype }
  const unmasked = { ...shared, mask: OPEN_MASK, slidingMask: OPEN_MASK }
  // Rows that are whole samples have kernels of their own on a GPU.
  const lengths =
    inputs.dense?.lengths ?? (device === 'cpu' && !inputs.isPacked ? rowLengths(inputs) : undefined)
  if (lengths && fitsSequenceAttention(device, computeDtype ?? 'float32', config.headDim)) {
    return { ...unmasked, sequences: sequencesOf(lengths, device) }
  }
  if (inputs.dense) return { ...unmasked, groups: attentionGroups(inputs.dense.lengths, device, window) }
  const maskOf = (reach?: number) =>
    inputs.isPacked ? packedMask(inputs.batch, device, reach) : attentionMask(length, device, reach)
  return { ...shared, ...masksOf(length, window, maskOf) }
}

const rowLengths = ({ batch: { rows, length } }: ModelInputs) => new Array<number>(rows).fill(length)

/** [1, N, D] -> [B, T, D], zero on padding. Without a graph. */
function spread(hidden_BTD: Tensor, { dense, batch }: ModelInputs): Tensor {
  if (!dense) return detach(hidden_BTD)
  const { device } = hidden_BTD
  return noGrad(() =>
    scope(() => {
      const width = hidden_BTD.shape[2]!
      const flat = zeros([batch.rows * batch.length, width], { device, dtype: hidden_BTD.dtype })
      const N = dense.place_N.shape[0]!
      const real = (x_N: Tensor) => (dense.filling === 0 ? x_N : narrow(x_N, 0, 0, N - dense.filling))
      indexCopy_(flat, 0, real(dense.place_N), real(reshape(hidden_BTD, [N, width])))
      return reshape(flat, [batch.rows, batch.length, width])
    }),
  )
}

/** [B, T, D] -> [1, N, D], zero on the filling. */
function gather(gradient_BTD: Tensor, { dense }: ModelInputs): Tensor {
  if (!dense) return gradient_BTD
  const { place_N, filling } = dense
  return noGrad(() =>
    scope(() => {
      const gradient_ND = indexSelect(reshape(gradient_BTD, [-1, gradient_BTD.shape[2]!]), 0, place_N)
      if (filling > 0) fill_(narrow(gradient_ND, 0, place_N.shape[0]! - filling, filling), 0)
      return unsqueeze(gradient_ND, 0)
    }),
  )
}

/**
 * Hidden states without a graph, in evaluation mode: for anchors, scoring and evaluation.
 * @returns [B, T, D] after the final norm, float32, of no meaning on padding. Belongs to the current scope.
 * @throws {ConfigError} SEQUENCE_TOO_LONG when T is more than the model was made for.
 */
export function embedTokens(
  model: CausalLM,
  inputs: ModelInputs,
  { autocastDtype }: ForwardOptions = {},
): Tensor {
  return inEvaluation(model, autocastDtype, () => {
    const context = prepareForward(model, inputs, autocastDtype)
    return spread(runBlocks(model, inputs.tokens_BT, context), inputs)
  })
}

/** Without a graph, in evaluation mode, with matrix products in a dtype. */
export function inEvaluation<T>(model: CausalLM, autocastDtype: DType | undefined, use: () => T): T {
  const wasTraining = model.training
  model.eval()
  try {
    return noGrad(() => autocast(model.device, autocastDtype, use))
  } finally {
    model.train(wasTraining)
  }
}

/**
 * The training forward: embedding, blocks, final norm.
 * @throws {ConfigError} SEQUENCE_TOO_LONG when T is more than the model was made for.
 */
export function runForward(model: CausalLM, inputs: ModelInputs, options: ForwardOptions = {}): ForwardPass {
  const inAutocast = <T>(fn: () => T): T => autocast(model.device, options.autocastDtype, fn)
  const dropout = new AdapterDropout(inputs.batch, options.dropoutSeed ?? 0, inputs.dense !== undefined)
  const context = { ...noGrad(() => prepareForward(model, inputs, options.autocastDtype)), dropout }
  if (options.checkpoint) return runCheckpointedForward(model, inputs, inAutocast, context)
  const output_BTD = enableGrad(() => inAutocast(() => runBlocks(model, inputs.tokens_BT, context)))
  return {
    hidden_BTD: spread(output_BTD, inputs),
    backward: (gradient_BTD) => backward([output_BTD], [gather(gradient_BTD, inputs)]),
  }
}

/** A forward in evaluation mode with what the gradients of its trained linear layers are made of. Belongs to the current scope. */
export interface TappedForward {
  /** float32 [B, T, D] after the final norm, of no meaning on padding. */
  readonly hidden_BTD: Tensor
  readonly layers: readonly TappedLayer[]
  /** Sample within the batch of each of their P positions. */
  readonly sampleOf_P: Int32Array
  /** float32 [N], as the caller's loss gave them. */
  readonly loss_N: Tensor
}

/**
 * Runs the model and takes one gradient back to the outputs of all trained linear layers at once; no gradient of a parameter is made.
 *
 * @param lossOf  Token losses [N] and d loss / d hidden [B, T, D], from the hidden states.
 * @throws {ConfigError} SEQUENCE_TOO_LONG when T is more than the model was made for.
 */
export function runTappedForward(
  model: CausalLM,
  inputs: ModelInputs,
  { autocastDtype }: Pick<ForwardOptions, 'autocastDtype'>,
  lossOf: (hidden_BTD: Tensor) => { readonly loss_N: Tensor; readonly gradient_BTD: Tensor },
): TappedForward {
  const wasTraining = model.training
  model.eval()
  using taps = new LinearTaps()
  try {
    return scope(() => {
      const context = { ...noGrad(() => prepareForward(model, inputs, autocastDtype)), taps }
      const output_BTD = enableGrad(() =>
        autocast(model.device, autocastDtype, () => runBlocks(model, inputs.tokens_BT, context)),
      )
      const hidden_BTD = spread(output_BTD, inputs)
      const { loss_N, gradient_BTD } = lossOf(hidden_BTD)
      const gradients = grad([output_BTD], taps.outputs, [gather(gradient_BTD, inputs)])
      const layers = taps.layers(model.namedParameters(), inputs, gradients as Tensor[])
      return { hidden_BTD, layers, sampleOf_P: sampleOfPositions(inputs), loss_N }
    })
  } finally {
    model.train(wasTraining)
  }
}

/** Embedding, blocks and final norm. */
export function runBlocks(model: CausalLM, tokens_BT: Tensor, context: ForwardContext): Tensor {
  let x_BTD = model.model.run(tokens_BT)
  for (const layer of model.model.layers) x_BTD = replace(x_BTD, layer.run(x_BTD, context))
  return replace(x_BTD, model.model.norm.run(x_BTD))
}

function runCheckpointedForward(
  model: CausalLM,
  inputs: ModelInputs,
  inAutocast: <T>(fn: () => T) => T,
  context: ForwardContext,
): ForwardPass {
  const { layers, norm } = model.model
  const embedded_BTD = enableGrad(() => model.model.run(inputs.tokens_BT))
  const segments: nn.Segment[] = layers.map((layer) => (x_BTD) => layer.run(x_BTD, context))
  segments.push((x_BTD) => norm.run(x_BTD))
  const pass = nn.runCheckpointed(segments, embedded_BTD, inAutocast)
  return {
    hidden_BTD: spread(pass.output, inputs),
    backward(gradient_BTD) {
      const embeddedGradient_BTD = pass.backward(gather(gradient_BTD, inputs))
      if (embeddedGradient_BTD) backward([embedded_BTD], [embeddedGradient_BTD])
    },
  }
}
