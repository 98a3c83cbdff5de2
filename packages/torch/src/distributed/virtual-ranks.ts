import { noGrad } from '../autograd.js'
import { TorchError } from '../errors.js'
import { copy_, tensor as fromArray } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'
import type { Collective } from './collective.js'

/** Memory that the ranks of one process share; made once, passed to every worker thread. */
export interface VirtualRankMemory {
  readonly worldSize: number
  readonly control: SharedArrayBuffer
  readonly data: SharedArrayBuffer
}

const ARRIVED = 0
const GENERATION = 1

/** Before a rank's values: their number, and for allGather the number of dimensions and their sizes. */
const HEADER_VALUES = 2 + 64

/** @param capacity float64 values one rank may contribute to one collective. */
export function createVirtualRankMemory(worldSize: number, capacity = 1 << 20): VirtualRankMemory {
  return {
    worldSize,
    control: new SharedArrayBuffer(8),
    data: new SharedArrayBuffer(worldSize * (capacity + HEADER_VALUES) * 8),
  }
}

/**
 * Ranks as worker threads of one process that meet in shared memory: the semantics of a process group, without
 * processes. Meant for tests of layout invariance; sums are taken in rank order and are equal on all ranks.
 */
export function joinVirtualRanks(memory: VirtualRankMemory, rank: number, timeoutMs = 60_000): Collective {
  const { worldSize } = memory
  const control = new Int32Array(memory.control)
  const stride = memory.data.byteLength / 8 / worldSize
  const region = (r: number) => new Float64Array(memory.data, r * stride * 8, stride)

  const barrier = () => {
    const generation = Atomics.load(control, GENERATION)
    if (Atomics.add(control, ARRIVED, 1) + 1 === worldSize) {
      Atomics.store(control, ARRIVED, 0)
      Atomics.add(control, GENERATION, 1)
      Atomics.notify(control, GENERATION)
      return
    }
    // The notice of the barrier before may wake a rank that waits here already: only the generation counts.
    while (Atomics.load(control, GENERATION) === generation) {
      if (Atomics.wait(control, GENERATION, generation, timeoutMs) === 'timed-out') {
        throw new TorchError('COLLECTIVE_TIMEOUT', `rank ${rank} waited ${timeoutMs} ms for its peers`)
      }
    }
  }

  /** Publishes this rank's values, waits, lets `read` look at everyone's, waits again. */
  const exchange = <T>(values: ArrayLike<number>, read: (r: number, values: Float64Array) => T): T[] => {
    if (values.length >= stride)
      throw new TorchError(
        'COLLECTIVE_TOO_LARGE',
        `${values.length} values, capacity ${stride - HEADER_VALUES}`,
      )
    const mine = region(rank)
    mine[0] = values.length
    mine.set(values, 1)
    barrier()
    const results = Array.from({ length: worldSize }, (_, r) => {
      const theirs = region(r)
      return read(r, theirs.subarray(1, 1 + theirs[0]!))
    })
    barrier()
    return results
  }

  const sum = (values: ArrayLike<number>): Float64Array => {
    const total = new Float64Array(values.length)
    exchange(values, (_, theirs) => {
      for (let i = 0; i < total.length; i++) total[i]! += theirs[i]!
    })
    return total
  }

  const write = (target: Tensor, values: ArrayLike<number>) =>
    noGrad(() => scope(() => void copy_(target, fromArray(Float64Array.from(values), target.shape))))

  return {
    rank,
    worldSize,
    barrier,
    allReduceSum(tensors) {
      for (const tensor of tensors) write(tensor, sum(tensor.toFloat64Array()))
    },
    allGather(tensor) {
      const { dtype, shape } = tensor
      // Shapes travel with the values: a rank without rows may not know the other dimensions.
      const mine = tensor.toFloat64Array()
      const message = new Float64Array(1 + shape.length + mine.length)
      message.set([shape.length, ...shape])
      message.set(mine, 1 + shape.length)
      const copies = exchange(message, (_, theirs) => {
        const start = 1 + theirs[0]!
        return { shape: Array.from(theirs.subarray(1, start)), values: theirs.slice(start) }
      })
      return copies.map((copy) => fromArray(copy.values, copy.shape, { dtype, device: tensor.device }))
    },
    broadcast(tensor, source) {
      let chosen: Float64Array | undefined
      exchange(rank === source ? tensor.toFloat64Array() : [], (r, theirs) => {
        if (r === source) chosen = theirs.slice()
      })
      write(tensor, chosen!)
    },
    allReduceNumbers: (values) => Array.from(sum(values)),
  }
}
