import { arange, type Collective, full, memoryStats, nn, ones, scope, tensor, zeros } from '../index.js'

/** What a rank holds after it ran every collective once. */
export interface CollectiveReport {
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
  readonly leakedTensors: number
}

/** Runs every collective once; equal for all implementations. */
export function runEveryCollective(ranks: Collective): CollectiveReport {
  const { rank } = ranks
  const liveBefore = memoryStats().liveTensors
  const report = scope((): CollectiveReport => {
    const floats = full([2, 2], rank + 1)
    const halves = full([3], 2 ** rank, { dtype: 'bfloat16' })
    const liveOutside = memoryStats().liveTensors
    ranks.allReduceSum([floats, halves])
    const temporaries = memoryStats().liveTensors - liveOutside
    // Sums whose last bits depend on the order and on what the ranks add in between.
    const awkward = tensor(
      Float32Array.from({ length: 7 }, (_, i) => (rank % 2 === 0 ? 1e8 : -1e8) + i / (rank + 3)),
      [7],
    )
    const whole = tensor(BigInt64Array.of(2n ** 40n + BigInt(rank), -3n), [2])
    const strided = tensor(Float32Array.from([rank, 1, 2, 3, 4, 5]), [2, 3])
    ranks.allReduceSum([awkward, whole, strided])

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
    const result = {
      rank: ranks.rank,
      temporaries,
      sums: [floats, halves, awkward, whole, strided].map((one) => Array.from(one.toFloat64Array())),
      sumDtype: halves.dtype,
      gathered: [...gathered, ...unknownWidth].map((one) => ({
        shape: one.shape,
        values: Array.from(one.toFloat64Array()),
        dtype: one.dtype,
      })),
      broadcast: Array.from(message.toFloat64Array()),
      parameter: Array.from(parameter.toFloat64Array()),
      numbers,
      leakedTensors: 0,
    }
    parameter.dispose()
    return result
  })
  return { ...report, leakedTensors: memoryStats().liveTensors - liveBefore }
}
