/** One process of a job whose tensors are on a device without hardware: what ranks exchange, and what crosses the host meanwhile. */
import { counted, DEVICE } from '../../testing-device/testing-device.mjs'
import { add, backward, distributed, full, mul, nn, scope, sum, type Tensor, tensor } from '../index.js'
import { runAsRank } from './job.test.fixture.js'

type Group = distributed.ProcessGroup

export interface DeviceReport {
  readonly travel: distributed.Travel
  readonly onDevice: readonly (readonly number[])[]
  readonly onHost: readonly (readonly number[])[]
  /** Copies between host and device while ranks exchanged what was on the device. */
  readonly copies: number
}

const valuesOf = (tensors: readonly Tensor[]) => tensors.map((one) => Array.from(one.toFloat64Array()))

/** Sums whose last bits depend on the order, gathers of rows that differ in number, a broadcast. */
function exchange(
  group: Group,
  device: string,
): { readonly tensors: readonly Tensor[]; readonly copies: number } {
  const { rank } = group
  const awkward = Float32Array.from({ length: 9 }, (_, i) => (rank % 2 === 0 ? 1e8 : -1e8) + i / (rank + 3))
  const floats = tensor(awkward, [3, 3], { device })
  const halves = full([3], 2 ** rank, { dtype: 'bfloat16', device })
  const whole = tensor(BigInt64Array.of(2n ** 40n + BigInt(rank), -3n), [2], { device })
  const rows = full([rank, 2], rank, { device })
  const message = full([4], rank, { device })
  group.travel(device)
  const { result, counts } = counted(() => {
    group.allReduceSum([floats, halves, whole])
    group.broadcast(message, 1)
    return group.allGather(rows)
  })
  const copies = counts.copiesToHost! + counts.copiesToDevice!
  return { tensors: [floats, halves, whole, message, ...result], copies }
}

/** Gradients that depend on the rank, summed in buckets, and parameters that every rank has a piece of. */
function reduce(
  group: Group,
  device: string,
  beforeBackward = () => {},
): { readonly tensors: readonly Tensor[]; readonly copies: number } {
  const parameters = [[5, 3], [7], [2, 2]].map(
    (shape, i) =>
      new nn.Parameter(
        tensor(
          Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, j) => Math.sin(1 + i + 3.7 * j)),
          shape,
          { device },
        ),
      ),
  )
  const buckets = distributed.createGradientBuckets(group, parameters, { capBytes: 64 })
  const scale = full([], 0.37 / (group.rank + 1), { device })
  const losses = () => parameters.map((one, i) => sum(mul(mul(one, one), 0.3 + i + group.rank)))
  beforeBackward()
  const { counts } = counted(() => {
    buckets.arm(scale)
    backward([losses().reduce((a, b) => add(a, b))])
    buckets.finish('sum')
  })
  const gradients = valuesOf(parameters.map(({ grad }) => grad!))
  const again = counted(() => buckets.gatherParameters())
  const tensors = [
    ...gradients.map((values) => tensor(values, [values.length], { dtype: 'float64' })),
    ...parameters,
  ]
  buckets.dispose()
  return { tensors, copies: counts.copiesToHost! + again.counts.copiesToHost! }
}

const compare = (work: (group: Group, device: string) => ReturnType<typeof exchange>) => (group: Group) =>
  scope((): DeviceReport => {
    const { tensors, copies } = work(group, DEVICE)
    return {
      travel: group.travel(DEVICE),
      onDevice: valuesOf(tensors),
      onHost: valuesOf(work(group, 'cpu').tensors),
      copies,
    }
  })

/** Rank 1 ends while the device of the others waits for its gradients, of which no message goes ahead. */
const endOfRankOne = (signal: NodeJS.Signals) => (group: Group) =>
  scope(() => {
    reduce(group, DEVICE, () => {
      if (group.rank === 1) process.kill(process.pid, signal)
    })
    return {}
  })

await runAsRank({
  exchange: compare(exchange),
  reduce: compare(reduce),
  'killed peer': endOfRankOne('SIGKILL'),
  'stopped peer': endOfRankOne('SIGSTOP'),
  'own error': (group) =>
    scope(() => {
      reduce(group, DEVICE)
      if (group.rank === 1) {
        group.fail({ code: 'DATA_DAMAGED', message: 'shard 7 is damaged' })
        process.exit(3)
      }
      reduce(group, DEVICE)
      return {}
    }),
  'different devices asked first': (group) =>
    scope(() => {
      const device = group.rank === 1 ? 'cpu' : DEVICE
      const travel = group.travel(device)
      const sum = full([2], 1 + group.rank, { device })
      group.allReduceSum([sum])
      return { travel, onDevice: valuesOf([sum]) }
    }),
  'different devices': (group) =>
    scope(() => {
      group.allReduceSum([full([4], 1, { device: group.rank === 1 ? 'cpu' : DEVICE })])
      return {}
    }),
  'different devices later': (group) =>
    scope(() => {
      group.allReduceSum([full([4], 1, { device: DEVICE })])
      group.allReduceSum([full([4], 1, { device: group.rank === 1 ? 'cpu' : DEVICE })])
      return {}
    }),
})
