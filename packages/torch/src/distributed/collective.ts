import { detach } from '../ops.js'
import type { Tensor } from '../tensor.js'

/**
 * What ranks of one job do together. Every rank calls the same methods in the same order; calls block until all
 * have arrived. A process group of torch.distributed implements the same interface.
 */
export interface Collective {
  readonly rank: number
  readonly worldSize: number
  /** Replaces each tensor by the sum over ranks, in place. Same shapes on every rank. */
  allReduceSum(tensors: readonly Tensor[]): void
  /** Every rank's tensor, in rank order, on the device of this rank's own. First dimensions may differ. Belongs to the current scope. */
  allGather(tensor: Tensor): Tensor[]
  /** Replaces the tensor by `source`'s, in place. */
  broadcast(tensor: Tensor, source: number): void
  /** Sums of host numbers in float64, in rank order, so that all ranks agree to the bit. */
  allReduceNumbers(values: readonly number[]): number[]
  /** Returns when every rank has called it. */
  barrier(): void
}

/** The one rank of a job without peers. */
export const singleProcess: Collective = {
  rank: 0,
  worldSize: 1,
  allReduceSum() {},
  allGather: (tensor) => [detach(tensor)],
  broadcast() {},
  allReduceNumbers: (values) => [...values],
  barrier() {},
}
