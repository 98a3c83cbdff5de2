/** B rows, T positions, D width, P = B T, S samples, N positions that are pooled. */
import { bind, noGrad, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'

/** Sums of weighted rows, a run of a list for each. */
const embeddingBag = bind('aten::_embedding_bag_forward_only')
/** The mode of `embeddingBag` that takes weights. */
const SUM = 0

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
 * `position_weighted` (the paper's), 1 / n for `mean`. Accumulated in float32 in the order of the positions, so that where a sample lies in a
 * batch changes no bit; padding and neighbours in a packed row take no part.
 *
 * @param hidden_BTD float32 [B, T, D].
 * @returns float32 [S, D], detached, in the order of `batch.samples`. Belongs to the current scope.
 */
export function poolHidden(hidden_BTD: Tensor, batch: Batch, options: PoolingOptions): Tensor {
  const { device, shape } = hidden_BTD
  const { segment_BT, samples } = batch
  const raw_P = coefficients(batch, options)
  const sum_S = new Float64Array(samples.length)
  const count_S = new Int32Array(samples.length)
  for (let i = 0; i < raw_P.length; i++) {
    if (raw_P[i] === 0) continue
    sum_S[segment_BT[i]!]! += raw_P[i]!
    count_S[segment_BT[i]!]! += 1
  }
  let count = 0
  const next_S = new Int32Array(samples.length)
  for (let s = 0; s < samples.length; s++) {
    next_S[s] = count
    count += count_S[s]!
  }
  const offset_S = Int32Array.from(next_S)
  const position_N = new Int32Array(count)
  const weight_N = new Float32Array(count)
  for (let i = 0; i < raw_P.length; i++) {
    if (raw_P[i] === 0) continue
    const segment = segment_BT[i]!
    const place = next_S[segment]!++
    position_N[place] = i
    weight_N[place] = raw_P[i]! / sum_S[segment]!
  }
  return noGrad(() =>
    scope(() => {
      const rows_PD = reshape(hidden_BTD, [raw_P.length, shape[2]!])
      const position = tensor(position_N, [count], { dtype: 'int32', device })
      const offset = tensor(offset_S, [samples.length], { dtype: 'int32', device })
      const weight = tensor(weight_N, [count], { device })
      const [pooled_SD] = embeddingBag(rows_PD, position, offset, false, SUM, false, weight) as Tensor[]
      return pooled_SD!
    }),
  )
}
