/** One rank: runs every collective once and reports what it holds afterwards. */
import { parentPort, workerData } from 'node:worker_threads'
import { arange, distributed, full, memoryStats, nn, ones, scope, tensor, zeros } from '../index.js'

export interface RankTask {
  readonly memory: distributed.VirtualRankMemory
  readonly rank: number
}

export interface RankReport {
  readonly rank: number
  /** Tensors that allReduceSum left in the scope. */
  readonly temporaries: number
  readonly sums: readonly (readonly number[])[]
  readonly sumDtype: string
  readonly gathered: readonly {
    readonly shape: readonly number[]
    readonly values: readonly number[]
    readonly dtype: string
  }[]
  readonly broadcast: readonly number[]
  readonly parameter: readonly number[]
  readonly numbers: readonly number[]
  /** Greatest number of ranks that had arrived before any rank left a barrier. */
  readonly arrivals: readonly number[]
  readonly leakedTensors: number
}

const { memory, rank } = workerData as RankTask
const ranks = distributed.joinVirtualRanks(memory, rank)
const liveBefore = memoryStats().liveTensors

const report = scope((): RankReport => {
  const floats = full([2, 2], rank + 1)
  const halves = full([3], 2 ** rank, { dtype: 'bfloat16' })
  const liveOutside = memoryStats().liveTensors
  ranks.allReduceSum([floats, halves])
  const temporaries = memoryStats().liveTensors - liveOutside

  // Rank r brings r rows, so that rank 0 brings none.
  const rows = full([rank, 3], rank, { dtype: 'int64' })
  const gathered = ranks.allGather(rows)
  const unknownWidth = ranks.allGather(rank === 0 ? zeros([0, 0]) : ones([1, 2]))

  const message = rank === 1 ? arange(4, { dtype: 'float32' }) : zeros([4])
  ranks.broadcast(message, 1)
  const parameter = new nn.Parameter(tensor([rank], [1]))
  ranks.broadcast(parameter, 0)

  const numbers = ranks.allReduceNumbers([
    0.1 * (rank + 1),
    1e16 * (rank % 2 === 0 ? 1 : -1),
    rank === 0 ? 1 : 0,
  ])
  const counter = new Int32Array(memory.control)
  const arrivals = Array.from({ length: 50 }, () => {
    const generation = Atomics.load(counter, 1)
    ranks.barrier()
    return Atomics.load(counter, 1) - generation
  })
  const result = {
    rank: ranks.rank,
    temporaries,
    sums: [Array.from(floats.toFloat64Array()), Array.from(halves.toFloat64Array())],
    sumDtype: halves.dtype,
    gathered: [...gathered, ...unknownWidth].map((one) => ({
      shape: one.shape,
      values: Array.from(one.toFloat64Array()),
      dtype: one.dtype,
    })),
    broadcast: Array.from(message.toFloat64Array()),
    parameter: Array.from(parameter.toFloat64Array()),
    numbers,
    arrivals,
    leakedTensors: 0,
  }
  parameter.dispose()
  return result
})
parentPort!.postMessage({ ...report, leakedTensors: memoryStats().liveTensors - liveBefore })
