/** One process of a job: three steps of AdamW on gradients that are summed in buckets, or one by one. */
import {
  add,
  backward,
  distributed,
  full,
  memoryStats,
  mul,
  nn,
  optim,
  scope,
  sum,
  type Tensor,
  tensor,
  toDType,
} from '../index.js'
import { runAsRank } from './job.test.fixture.js'

/** What a rank holds after the steps. */
export interface BucketReport {
  readonly parameters: readonly (readonly number[])[]
  /** Of the first step: gradients, or those of the shards put together. */
  readonly gradients: readonly (readonly number[])[]
  readonly momentElements: number
  readonly launchedInBackward: number
  readonly count: number
  readonly bytesSent: number
  readonly areGradientsGone: boolean
  readonly leakedTensors: number
}

const SHAPES = [[5, 3], [7], [2, 2], [11], [3]]
const STEPS = 3
const DTYPES = ['float32', 'float32', 'bfloat16', 'float32', 'float32'] as const

function makeParameters(): nn.Parameter[] {
  return SHAPES.map((shape, i) => {
    const length = shape.reduce((a, b) => a * b, 1)
    const values = tensor(
      Float32Array.from({ length }, (_, j) => Math.sin(1 + i + 3.7 * j)),
      shape,
    )
    return new nn.Parameter(toDType(values, DTYPES[i]!))
  })
}

/** A loss in which every gradient depends on the rank and the micro-batch; rank 1 uses neither the second nor the last parameter. */
function runBackward(parameters: readonly nn.Parameter[], rank: number, microBatch: number): void {
  scope(() => {
    const terms = parameters.flatMap((parameter, i) => {
      if (rank === 1 && (i === 1 || i === 4)) return []
      const x = toDType(parameter, 'float32')
      return sum(mul(mul(x, x), 0.3 + rank + 0.7 * microBatch))
    })
    backward([terms.reduce((a, b) => add(a, b))])
  })
}

const scaleOf = (rank: number): Tensor => full([], 0.37 / (rank + 1))
const valuesOf = (tensors: readonly Tensor[]) => tensors.map((one) => Array.from(one.toFloat64Array()))

function trainInBuckets(
  group: distributed.ProcessGroup,
  capBytes: number,
  result: 'sum' | 'shard',
): BucketReport {
  const liveBefore = memoryStats().liveTensors
  const report = scope(() => {
    const parameters = makeParameters()
    const sentBefore = group.bytesSent
    const buckets = distributed.createGradientBuckets(group, parameters, { capBytes })
    const owned = result === 'sum' ? parameters : buckets.shards.map(({ value }) => value)
    const optimizer = new optim.AdamW([{ parameters: owned, weightDecay: 0.1 }], { learningRate: 0.01 })
    let gradients: number[][] = []
    let launchedInBackward = 0
    let areGradientsGone = true
    for (let step = 0; step < STEPS; step++) {
      buckets.zero()
      runBackward(parameters, group.rank, 0)
      buckets.arm(scaleOf(group.rank))
      // The last step of rank 1 has no second micro-batch: it takes part with what it has.
      if (group.rank === 0 || step < STEPS - 1) runBackward(parameters, group.rank, 1)
      if (parameters.length > 4) buckets.ready(parameters[4]!) // no hook reports it where it is not used
      launchedInBackward += buckets.finish(result).launchedInBackward
      if (step === 0 && result === 'sum') gradients = valuesOf(parameters.map(({ grad }) => grad!))
      else if (step === 0)
        gradients = valuesOf(buckets.gatherShards(owned.map(({ grad }) => toDType(grad!, 'float32'))))
      optimizer.step()
      if (result === 'shard') {
        buckets.gatherParameters()
        areGradientsGone =
          areGradientsGone && [...parameters, ...owned].every(({ grad }) => grad === undefined)
      }
    }
    const made = {
      parameters: valuesOf(parameters),
      gradients,
      momentElements: Array.from(optimizer.state().tensors.values()).reduce(
        (total, { numel }) => total + numel,
        0,
      ),
      launchedInBackward,
      count: buckets.count,
      bytesSent: group.bytesSent - sentBefore,
      areGradientsGone,
      leakedTensors: 0,
    }
    optimizer.dispose()
    buckets.dispose()
    for (const parameter of parameters) parameter.dispose()
    return made
  })
  return { ...report, leakedTensors: memoryStats().liveTensors - liveBefore }
}

function trainOneByOne(group: distributed.ProcessGroup): BucketReport {
  return scope(() => {
    const parameters = makeParameters()
    const optimizer = new optim.AdamW([{ parameters, weightDecay: 0.1 }], { learningRate: 0.01 })
    let gradients: number[][] = []
    for (let step = 0; step < STEPS; step++) {
      for (const parameter of parameters)
        parameter.grad = mul(toDType(full(parameter.shape, 0), parameter.dtype), 0)
      runBackward(parameters, group.rank, 0)
      if (group.rank === 0 || step < STEPS - 1) runBackward(parameters, group.rank, 1)
      optim.scaleGradients(parameters, scaleOf(group.rank))
      group.allReduceSum(parameters.map(({ grad }) => grad!))
      if (step === 0) gradients = valuesOf(parameters.map(({ grad }) => grad!))
      optimizer.step()
    }
    return {
      parameters: valuesOf(parameters),
      gradients,
      momentElements: Array.from(optimizer.state().tensors.values()).reduce(
        (total, { numel }) => total + numel,
        0,
      ),
      ...{ launchedInBackward: 0, count: 0, bytesSent: 0, areGradientsGone: false, leakedTensors: 0 },
    }
  })
}

await runAsRank({
  'one by one': trainOneByOne,
  'caps of 1, 64 and a million bytes': (group) =>
    [1, 64, 1e6].map((cap) => trainInBuckets(group, cap, 'shard')),
  'sums for all': (group) => [64].map((cap) => trainInBuckets(group, cap, 'sum')),
  'other caps': (group) => trainInBuckets(group, 64 + group.rank, 'shard'),
  'two gradients after ready': (group) =>
    scope(() => {
      const parameters = makeParameters()
      const buckets = distributed.createGradientBuckets(group, parameters)
      buckets.arm()
      for (const microBatch of [0, 1]) runBackward(parameters, 0, microBatch)
      try {
        buckets.finish('shard')
        return 'nothing'
      } catch (error) {
        return (error as { code: string }).code
      }
    }),
})
