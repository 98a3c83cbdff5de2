/** T positions of a row, D width, F feed-forward width, H query heads, Q and K widths of queries and keys, V vocabulary. */
import os from 'node:os'
import { type Device, type DType, deviceMemory, memoryStats } from '@adapt-ts/torch'
import { defaultChunkSize } from '../loss/index.js'
import { projectionShapes } from '../model/dimensions/projection-shapes.js'
import type { CausalLM } from '../model/index.js'

/** Share of the free memory that a pass may take: others use the machine too, and an allocator leaves gaps. */
const USABLE = 0.5
/** Positions of a pass above which more gain nothing: a CPU's caches are full long before, a GPU's processors soon after. */
const MAX_POSITIONS = { cpu: 8_192, device: 131_072 }
/** Neighbouring short rows share a mask and scores of so many positions. */
const SHARED_POSITIONS = 256
/** Where nobody says how much memory there is. */
const UNKNOWN_BYTES = 2 ** 30
const FLOAT32 = 4

/** What the memory of a pass depends on besides the model. */
export interface PassShape {
  readonly rows: number
  readonly length: number
  readonly autocastDtype: DType | undefined
}

/**
 * Bytes that an evaluation pass allocates at its peak, at most: a forward without a graph and the losses of its positions.
 * Every intermediate of a block counts as if none were freed before the block ends, in float32.
 */
export function passBytes(model: CausalLM, { rows, length, autocastDtype }: PassShape): number {
  const { config } = model
  const { hiddenSize: D, intermediateSize: F, headDim: E, numAttentionHeads: H, vocabSize: V } = config
  const [Q, K] = [H * E, config.numKeyValueHeads * E]
  const outputs = model.lora === undefined ? 1 : 2
  // The stream, norms, their copies in another dtype, the hidden states spread over rows and picked by label.
  const stream = 12 * D
  // Outputs, norms of heads, three products of the rotation, copies for the kernel, repeated heads, what comes back.
  const attention = outputs * (Q + 2 * K + D) + 6 * (Q + K) + 5 * Q + 3 * K
  const scores = 3 * H * Math.max(length, SHARED_POSITIONS)
  const feedForward = outputs * (2 * F + D) + 3 * F
  const perPosition = FLOAT32 * (stream + attention + scores + feedForward + length) + 64
  const chunk = Math.min(defaultChunkSize(model.device, V), rows * length)
  const logits = chunk * V * 3 * FLOAT32 + 2 * V * D * FLOAT32
  const matrices = projectionShapes(config).reduce(
    (sum, shape) => sum + shape.inFeatures * shape.outFeatures,
    0,
  )
  // Copies of weights in the dtype of products, which autocast keeps.
  const rounded = autocastDtype === undefined && model.headWeight.dtype === 'float32' ? 0 : matrices * FLOAT32
  return rows * length * perPosition + logits + rounded + 2 * length * length * FLOAT32
}

/** Rows of `length` positions in one pass of at most `bytes`; at least 1. */
export function rowsThatFit(
  model: CausalLM,
  length: number,
  bytes: number,
  autocastDtype: DType | undefined,
): number {
  const shape = (rows: number) => ({ rows, length, autocastDtype })
  const one = passBytes(model, shape(1))
  const perRow = passBytes(model, shape(2)) - one
  const most = Math.floor(MAX_POSITIONS[model.device === 'cpu' ? 'cpu' : 'device'] / length)
  return Math.max(1, Math.min(most, 1 + Math.floor((bytes - one) / perRow)))
}

/**
 * Positions whose keys and values fit beside a pass, in half of its bytes: those of all layers, and what a step over them makes in
 * one layer. At least 1.
 */
export function cachedPositionsThatFit(
  model: CausalLM,
  bytes: number,
  autocastDtype: DType | undefined,
): number {
  const { numHiddenLayers, numKeyValueHeads, headDim, numAttentionHeads } = model.config
  const size = autocastDtype === 'bfloat16' || autocastDtype === 'float16' ? 2 : FLOAT32
  const layer = 2 * numKeyValueHeads * headDim * size
  const perPosition = numHiddenLayers * layer + 3 * layer + 3 * numAttentionHeads * FLOAT32
  return Math.max(1, Math.floor(bytes / 2 / perPosition))
}

/** Bytes that a pass may take on a device now: half of what is free, blocks that the allocator holds for itself included. */
export function bytesForPass(device: Device): number {
  const { allocatedBytes, reservedBytes } = countersOf(device)
  return USABLE * (freeBytes(device) + Math.max(0, reservedBytes - allocatedBytes))
}

function countersOf(device: Device) {
  try {
    return memoryStats(device)
  } catch {
    // An older LibTorch keeps no counters of a device that are the same for all.
    return { allocatedBytes: 0, reservedBytes: 0 }
  }
}

function freeBytes(device: Device): number {
  // With the limit of the control group, where the system has one.
  if (device === 'cpu') return process.availableMemory?.() ?? os.freemem()
  try {
    return deviceMemory(device).free
  } catch {
    return UNKNOWN_BYTES
  }
}
