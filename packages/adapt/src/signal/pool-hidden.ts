/** B rows, T positions, D width, S samples, K the most samples of one row. */
import { bmm, indexSelect, noGrad, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'

/** How positions are weighted: by position + 1, all alike, or only the last. */
export type Pooling = 'position_weighted' | 'mean' | 'last'

/** Which positions become the vector of a sample, and with which weights. */
export interface PoolingOptions {
  readonly pooling: Pooling
  /** `response_only` pools the positions that predict a label; a sample without any pools all. */
  readonly tokens: 'all' | 'response_only'
}

/** The coefficient of each position before normalising; 0 leaves the position out. */
function coefficients(batch: Batch, { pooling, tokens }: PoolingOptions): Float64Array {
  const { segment_BT, position_BT, labels_BT, samples } = batch
  const count = segment_BT.length
  const raw = new Float64Array(count)
  const lastOf = new Int32Array(samples.length).fill(-1)
  // Plain loops: this runs for every position of every step.
  for (let i = 0; i < count; i++) {
    const segment = segment_BT[i]!
    if (segment === -1) continue
    if (tokens !== 'all' && labels_BT[i]! < 0 && samples[segment]!.numLabels > 0) continue
    if (pooling === 'last') {
      if (lastOf[segment]! >= 0) raw[lastOf[segment]!] = 0
      lastOf[segment] = i
    }
    raw[i] = pooling === 'position_weighted' ? position_BT[i]! + 1 : 1
  }
  return raw
}

/**
 * One vector a sample: phi = sum_i a_i h_i over its real positions i = 1 .. n, with a_i = i / (n (n + 1) / 2) for
 * `position_weighted` (the paper's), 1 / n for `mean`. Accumulated in float32; padding and neighbours in a packed
 * row take no part.
 *
 * @param hidden_BTD float32 [B, T, D].
 * @returns float32 [S, D], detached, in the order of `batch.samples`. Belongs to the current scope.
 */
export function poolHidden(hidden_BTD: Tensor, batch: Batch, options: PoolingOptions): Tensor {
  const { device } = hidden_BTD
  const { rows, length, segment_BT, samples } = batch
  const raw = coefficients(batch, options)
  const sums = new Float64Array(samples.length)
  /** Place of each sample among those of its row. */
  const placeInRow = new Int32Array(samples.length).fill(-1)
  let K = 1
  for (let b = 0; b < rows; b++) {
    let found = 0
    for (let i = b * length; i < (b + 1) * length; i++) {
      const segment = segment_BT[i]!
      if (segment === -1) continue
      sums[segment]! += raw[i]!
      if (placeInRow[segment] === -1) placeInRow[segment] = found++
    }
    K = Math.max(K, found)
  }

  const pool_BKT = new Float32Array(rows * K * length)
  const placeOf = new Int32Array(samples.length)
  for (let b = 0; b < rows; b++) {
    for (let t = 0; t < length; t++) {
      const i = b * length + t
      const segment = segment_BT[i]!
      if (segment === -1) continue
      const place = b * K + placeInRow[segment]!
      placeOf[segment] = place
      pool_BKT[place * length + t] = raw[i]! / sums[segment]!
    }
  }
  return noGrad(() =>
    scope(() => {
      const pool = tensor(pool_BKT, [rows, K, length], { device })
      const pooled_BKD = bmm(pool, hidden_BTD)
      const place_S = tensor(placeOf, [samples.length], { dtype: 'int64', device })
      return indexSelect(reshape(pooled_BKD, [rows * K, hidden_BTD.shape[2]!]), 0, place_S)
    }),
  )
}
