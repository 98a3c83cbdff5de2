/** B rows, T positions, S samples. */
import { type Device, scope, type Tensor, tensor, toDevice } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { isSlidingLayer, type ModelConfig } from './model-config.js'

/** What a forward needs of a batch, on the device. The caller's scope owns the tensors. */
export interface ModelInputs {
  readonly batch: Batch
  /** int64 [B, T] */
  readonly tokens_BT: Tensor
  /** int64 [B, T], or undefined when every row counts 0 .. T-1. */
  readonly position_BT: Tensor | undefined
  /** float32 [B or 1, 1, 1, T, T], 0 where position t may look at u, -inf elsewhere; undefined when causal is enough. */
  readonly mask_BTT: Tensor | undefined
}

/**
 * Causal order is all that right-padded single-sample rows need (padding looks back, nothing looks at it). Rows
 * with several samples, or with padding on the left, need a block-diagonal mask.
 */
function needsBlockMask({ rows, length, segment_BT }: Batch): boolean {
  for (let b = 0; b < rows; b++) {
    const first = segment_BT[b * length]
    for (let t = 1; t < length; t++) {
      const segment = segment_BT[b * length + t]
      if (segment !== first && !(segment === -1 && first !== -1)) return true
    }
  }
  return false
}

/**
 * 0 where t - window < u <= t and both belong to one sample. A padding position looks at itself: a row of -inf alone
 * is NaN.
 */
function blockMask({ rows, length, segment_BT }: Batch, window = length): Float32Array {
  const mask = new Float32Array(rows * length * length).fill(Number.NEGATIVE_INFINITY)
  for (let b = 0; b < rows; b++) {
    let start = 0
    for (let t = 0; t < length; t++) {
      const segment = segment_BT[b * length + t]
      if (t > 0 && segment !== segment_BT[b * length + t - 1]) start = t
      const from = segment === -1 ? t : Math.max(start, t - window + 1)
      const row = (b * length + t) * length
      mask.fill(0, row + from, row + t + 1)
    }
  }
  return mask
}

/** Positions of the longest sample. Read from the rows: an evaluation lists no samples. */
function longestSegment({ rows, length, segment_BT }: Batch): number {
  let longest = 0
  for (let b = 0; b < rows; b++) {
    let start = 0
    for (let t = 0; t < length; t++) {
      const segment = segment_BT[b * length + t]
      if (t > 0 && segment !== segment_BT[b * length + t - 1]) start = t
      if (segment !== -1) longest = Math.max(longest, t - start + 1)
    }
  }
  return longest
}

function isPlainOrder({ rows, length, segment_BT, position_BT }: Batch): boolean {
  for (let i = 0; i < rows * length; i++) {
    if (segment_BT[i] !== -1 && position_BT[i] !== i % length) return false
  }
  return true
}

/** Copies a batch to the device. */
export function toModelInputs(batch: Batch, device: Device = 'cpu'): ModelInputs {
  const { rows, length } = batch
  const ids = (array: Int32Array) =>
    scope(() => toDevice(tensor(array, [rows, length], { dtype: 'int64' }), device))
  return {
    batch,
    tokens_BT: ids(batch.tokens_BT),
    position_BT: isPlainOrder(batch) ? undefined : ids(batch.position_BT),
    mask_BTT: needsBlockMask(batch) ? maskTensor(blockMask(batch), batch, device) : undefined,
  }
}

function maskTensor(mask: Float32Array, { rows, length }: Batch, device: Device): Tensor {
  return scope(() => toDevice(tensor(mask, [rows, 1, 1, length, length]), device))
}

/**
 * The mask of layers with a sliding window: float32 [B, 1, 1, T, T]. Undefined where no layer slides or no sample is
 * longer than the window. Belongs to the current scope.
 */
export function slidingMask(config: ModelConfig, batch: Batch, device: Device): Tensor | undefined {
  const { slidingWindow, numHiddenLayers } = config
  if (slidingWindow === undefined || longestSegment(batch) <= slidingWindow) return undefined
  const slides = Array.from({ length: numHiddenLayers }, (_, layer) => isSlidingLayer(config, layer))
  return slides.includes(true) ? maskTensor(blockMask(batch, slidingWindow), batch, device) : undefined
}
