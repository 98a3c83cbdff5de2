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

/** How much each position counts in the vector of its sample; P positions, S samples. */
interface Coefficients {
  /** Before normalising, [P]; 0 leaves the position out. */
  readonly raw_P: Float64Array
  /** Their sum, [S]. */
  readonly sum_S: Float64Array
  /** How many are not 0, [S]. */
  readonly count_S: Int32Array
}

function coefficients(batch: Batch, { pooling, tokens }: PoolingOptions): Coefficients {
  const { segment_BT, position_BT, labels_BT, samples } = batch
  const raw_P = new Float64Array(segment_BT.length)
  const sum_S = new Float64Array(samples.length)
  const count_S = new Int32Array(samples.length)
  const last_S = new Int32Array(samples.length).fill(-1)
  const byPosition = pooling === 'position_weighted'
  // A plain loop: this runs for every position of every step.
  for (let i = 0; i < raw_P.length; i++) {
    const segment = segment_BT[i]!
    if (segment === -1) continue
    if (tokens !== 'all' && labels_BT[i]! < 0 && samples[segment]!.numLabels > 0) continue
    if (pooling === 'last' && count_S[segment]! > 0)
      raw_P[last_S[segment]!] = sum_S[segment] = count_S[segment] = 0
    const coefficient = byPosition ? position_BT[i]! + 1 : 1
    raw_P[i] = coefficient
    sum_S[segment]! += coefficient
    count_S[segment]! += 1
    last_S[segment] = i
  }
  return { raw_P, sum_S, count_S }
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
  const { raw_P, sum_S, count_S } = coefficients(batch, options)
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
