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

/** Samples of each row in order of appearance. */
function samplesByRow({ rows, length, segment_BT }: Batch): number[][] {
  return Array.from({ length: rows }, (_, b) => {
    const found: number[] = []
    for (let t = 0; t < length; t++) {
      const segment = segment_BT[b * length + t]!
      if (segment !== -1 && found.at(-1) !== segment) found.push(segment)
    }
    return found
  })
}

/** The coefficient of each position before normalising; 0 leaves the position out. */
function coefficients(batch: Batch, { pooling, tokens }: PoolingOptions): Float64Array {
  const { segment_BT, position_BT, labels_BT, samples } = batch
  const isResponse = (i: number) => labels_BT[i]! >= 0
  const takesPart = (i: number) => {
    const segment = segment_BT[i]!
    if (segment === -1) return false
    return tokens === 'all' || samples[segment]!.numLabels === 0 || isResponse(i)
  }
  const lastOf = new Int32Array(samples.length).fill(-1)
  if (pooling === 'last')
    for (let i = 0; i < segment_BT.length; i++) if (takesPart(i)) lastOf[segment_BT[i]!] = i
  return Float64Array.from(segment_BT, (segment, i) => {
    if (!takesPart(i)) return 0
    switch (pooling) {
      case 'position_weighted':
        return position_BT[i]! + 1
      case 'mean':
        return 1
      case 'last':
        return lastOf[segment] === i ? 1 : 0
    }
  })
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
  const byRow = samplesByRow(batch)
  const K = Math.max(1, ...byRow.map((list) => list.length))
  const raw = coefficients(batch, options)
  const sums = new Float64Array(samples.length)
  for (const [i, segment] of segment_BT.entries()) if (segment !== -1) sums[segment]! += raw[i]!

  const pool_BKT = new Float32Array(rows * K * length)
  const placeOf = new Int32Array(samples.length)
  for (const [b, list] of byRow.entries()) {
    for (const [k, segment] of list.entries()) {
      placeOf[segment] = b * K + k
      for (let t = 0; t < length; t++) {
        const i = b * length + t
        if (segment_BT[i] === segment) pool_BKT[(b * K + k) * length + t] = raw[i]! / sums[segment]!
      }
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
