import { type DType, itemBytes } from '../dtype.js'
import type { Tensor } from '../tensor.js'

/** Neighbours in a list that travel as one buffer. */
export interface Run {
  readonly tensors: Tensor[]
  readonly dtype: DType
  numel: number
  bytes: number
}

/** Bytes that are copied into one buffer; a larger tensor has one of its own. */
const RUN_BYTES = 32 << 20

/** Neighbours of one dtype, together no larger than RUN_BYTES where they are several. */
export function inRuns(
  tensors: readonly Tensor[],
  dtypes: readonly DType[],
  bytes: readonly number[],
): Run[] {
  const runs: Run[] = []
  for (const [i, tensor] of tensors.entries()) {
    const [dtype, size] = [dtypes[i]!, bytes[i]!]
    if (size === 0) continue
    let run = runs.at(-1)
    if (run === undefined || run.dtype !== dtype || run.bytes + size > RUN_BYTES) {
      run = { tensors: [], dtype, numel: 0, bytes: 0 }
      runs.push(run)
    }
    run.tensors.push(tensor)
    run.numel += size / itemBytes(dtype)
    run.bytes += size
  }
  return runs
}

/** Elements of a tensor of these sizes. */
export function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1)
}
