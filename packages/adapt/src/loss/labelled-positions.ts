/** B rows, T positions, N labelled positions, S samples. */
import { type Device, indexCopy_, indexSelect, reshape, type Tensor, tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'

/** The positions of a batch that have a label: only these meet the output head. */
export interface LabelledPositions {
  readonly count: number
  /** Sample of each labelled position, host copy. */
  readonly sampleOf: Int32Array
  /** int64 [N] */
  readonly labels_N: Tensor
  /** int64 [N], index of the sample. */
  readonly sample_N: Tensor
  /** int64 [N], among the B * T. */
  readonly position_N: Tensor
  /** [B, T, D] -> [N, D] */
  select(hidden_BTD: Tensor): Tensor
  /** [N, D] -> [B, T, D], zero elsewhere. */
  scatter(gradient_ND: Tensor): Tensor
}

/** Finds the positions of a batch with a label, in row-major order. Its tensors belong to the current scope. */
export function labelledPositions(batch: Batch, device: Device): LabelledPositions {
  const { rows, length, labels_BT, segment_BT } = batch
  const total = rows * length
  let count = 0
  for (let i = 0; i < total; i++) if (labels_BT[i]! >= 0) count++
  const positions = new Int32Array(count)
  const labels = new Int32Array(count)
  const sampleOf = new Int32Array(count)
  for (let i = 0, n = 0; i < total; i++) {
    if (labels_BT[i]! < 0) continue
    positions[n] = i
    labels[n] = labels_BT[i]!
    sampleOf[n++] = segment_BT[i]!
  }
  const ids = (array: Int32Array) => tensor(array, [count], { dtype: 'int64', device })
  const position_N = ids(positions)
  return {
    count,
    sampleOf,
    labels_N: ids(labels),
    sample_N: ids(sampleOf),
    position_N,
    select: (hidden_BTD) => {
      const flat = reshape(hidden_BTD, [total, hidden_BTD.shape[2]!])
      return count === total ? flat : indexSelect(flat, 0, position_N)
    },
    scatter: (gradient_ND) => {
      const width = gradient_ND.shape[1]!
      const flat =
        count === total
          ? gradient_ND
          : indexCopy_(zeros([total, width], { device }), 0, position_N, gradient_ND)
      return reshape(flat, [rows, length, width])
    },
  }
}
