import { noGrad } from '../autograd.js'
import type { Device } from '../device.js'
import { synchronize } from '../devices.js'
import { itemBytes } from '../dtype.js'
import { rethrow, TorchError } from '../errors.js'
import { engine } from '../native.js'
import { Parameter } from '../nn/module.js'
import { clone, copy_, detach, narrow, view, zeros } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'
import { type BucketPlan, planBuckets, planShards, type ShardPlan } from './bucket-layout.js'
import { C10dGroup } from './c10d-group.js'
import type { ProcessGroup } from './process-group.js'

/** A run of elements of one parameter that this rank updates; `value` shares the parameter's memory. */
export interface Shard {
  /** Of the parameter, in the list that the buckets were made of. */
  readonly parameterIndex: number
  /** First element, of the parameter flattened. */
  readonly offset: number
  readonly length: number
  /** [length]. Its gradient is the sum over ranks after `finish`. */
  readonly value: Parameter
}

/** What `finish` has done. */
export interface ReducedGradients {
  /** Milliseconds that this rank waited for sums, and for those that it took itself. */
  readonly waitMs: number
  /** Buckets that were on their way before backward ended. */
  readonly launchedInBackward: number
}

/**
 * Gradients of a model in buckets that are summed over the ranks of a group while backward runs, and the piece of each bucket that is
 * this rank's (ZeRO-1, Rajbhandari et al. 2020). Sums are taken in rank order, so that equal runs are equal to the bit and the cap of the
 * buckets does not matter. A step:
 *
 *     buckets.zero()                  // gradients are zeros in the buckets
 *     ...                             // backward of all micro-batches but the last: nothing is sent
 *     buckets.arm(scale)              // backward of the last: full buckets leave
 *     buckets.finish('shard')         // shards have the sums
 *     optimizer.step()                // an AdamW over `shards`
 *     buckets.gatherParameters()      // all ranks have all parameters
 *
 * A rank without samples takes part with zeros: `finish` sends what backward did not.
 */
export interface GradientBuckets {
  readonly count: number
  /** Of all buckets, padding included. */
  readonly bytes: number
  /** This rank's, in the order of the buckets. */
  readonly shards: readonly Shard[]
  /** Makes every gradient a zeroed part of its bucket; in the place of `zeroGrad`. */
  zero(): void
  /**
   * The next backward is the last of the step: a bucket leaves when the gradients of all its parameters have come.
   * @param scale  Scalar on the parameters' device by which this rank's gradients are multiplied before they leave.
   */
  arm(scale?: Tensor): void
  /** The gradient of a parameter is whole; for one that does not come by backward. */
  ready(parameter: Tensor): void
  /** Sends what has not left and waits. `sum`: every gradient is the sum over ranks; `shard`: those of `shards` are. */
  finish(result: 'sum' | 'shard'): ReducedGradients
  /** Every rank's shards to all ranks, in place. Uses the memory of the gradients, which are gone after it. */
  gatherParameters(): void
  /** Whole tensors on the CPU, one per parameter and of its shape, from one [length] tensor per shard on every rank, all of one dtype. In the current scope. */
  gatherShards(perShard: readonly Tensor[]): Tensor[]
  /** Frees the buckets; gradients are gone. The parameters stay with their owner. */
  dispose(): void
}

/** PyTorch's DistributedDataParallel has this, too. */
const DEFAULT_CAP_BYTES = 25 << 20

/**
 * Buckets for parameters given in the order of the forward pass. Every rank calls it with the same: other shapes or caps are PEER_MISMATCH.
 *
 * @throws {TorchError} BAD_ARGUMENT for a group whose ranks are not processes.
 */
export function createGradientBuckets(
  group: ProcessGroup,
  parameters: readonly Parameter[],
  { capBytes = DEFAULT_CAP_BYTES }: { readonly capBytes?: number } = {},
): GradientBuckets {
  if (!(group instanceof C10dGroup) && group.worldSize > 1)
    throw new TorchError('BAD_ARGUMENT', 'gradient buckets need a process group')
  return noGrad(() => new FlatBuckets(group, parameters, capBytes))
}

class FlatBuckets implements GradientBuckets {
  readonly shards: readonly Shard[]
  readonly bytes: number
  private readonly group: C10dGroup | undefined
  private readonly device: Device
  /** The engine's number of the buckets. */
  private readonly id: number
  private readonly parameters: readonly Parameter[]
  private readonly plans: readonly BucketPlan[]
  private readonly shardPlans: readonly ShardPlan[]
  /** [worldSize * piece] each. */
  private readonly flats: readonly Tensor[]
  /** Place of a parameter in the order in which gradients are expected, by its handle. */
  private readonly positions: ReadonlyMap<number, number>

  constructor(group: ProcessGroup, parameters: readonly Parameter[], capBytes: number) {
    const { worldSize } = group
    this.group = group instanceof C10dGroup ? group : undefined
    this.parameters = parameters
    const items = parameters.map(({ numel, dtype }) => ({ numel, dtype, itemBytes: itemBytes(dtype) }))
    this.plans = planBuckets(items, capBytes, worldSize)
    this.shardPlans = planShards(this.plans, group.rank)
    this.bytes = this.plans.reduce((total, plan) => total + pieceBytes(plan) * worldSize, 0)
    const device = parameters[0]?.device ?? 'cpu'
    this.device = device
    this.flats = this.plans.map(({ pieceLength, dtype }) =>
      zeros([pieceLength * worldSize], { dtype, device }).persist(),
    )
    const order = this.plans.flatMap(({ members }) => members)
    this.positions = new Map(order.map(({ index }, position) => [parameters[index]!.handle, position]))
    this.id = scope(() => this.open(capBytes))
    this.shards = this.shardPlans.map(({ index, offset, length }) => {
      const value = scope(() => new Parameter(narrow(flatten(parameters[index]!), 0, offset, length)))
      return { parameterIndex: index, offset, length, value }
    })
    this.zero()
  }

  get count(): number {
    return this.plans.length
  }

  /** The engine's side of the buckets. */
  private open(capBytes: number): number {
    const { native, buffer } = engine()
    const entries = this.plans.flatMap(({ members }, bucket) =>
      members.flatMap(({ index, start, length }) => {
        const parameter = this.parameters[index]!
        const part = view(narrow(this.flats[bucket]!, 0, start, length), parameter.shape)
        return [parameter.handle, part.handle, bucket]
      }),
    )
    entries.push(...this.flats.map((flat) => flat.handle))
    if (entries.length > buffer.length)
      throw new TorchError(
        'BUFFER_TOO_SMALL',
        `${this.parameters.length} parameters are too many for gradient buckets`,
      )
    const make = (channel: number) => {
      buffer.set(entries)
      return native.bucketsNew(channel, this.parameters.length, this.plans.length)
    }
    return (
      this.group?.openBuckets({ parameters: this.parameters, capBytes, bytes: this.bytes }, make) ?? make(-1)
    )
  }

  zero(): void {
    engine().native.bucketsZero(this.id)
  }

  arm(scale?: Tensor): void {
    try {
      engine().native.bucketsArm(this.id, scale?.handle ?? -1)
    } catch (error) {
      rethrow(error, 'gradient buckets')
    }
  }

  ready(parameter: Tensor): void {
    const position = this.positions.get(parameter.handle)
    if (position === undefined)
      throw new TorchError('BAD_ARGUMENT', 'this parameter is in no gradient bucket')
    engine().native.bucketsReady(this.id, position)
  }

  finish(result: 'sum' | 'shard'): ReducedGradients {
    const { native } = engine()
    // What the device still has to do of its own is no time of waiting for others.
    if (this.group !== undefined) synchronize(this.device)
    const start = performance.now()
    const launchedInBackward = this.together((limitMs) => {
      const count = native.bucketsFinish(this.id, limitMs)
      return count < 0 ? undefined : count
    })
    if (result === 'sum') this.gather()
    const waitMs = performance.now() - start
    scope(() => {
      for (const [i, { bucket, start, length }] of this.shardPlans.entries())
        this.shards[i]!.value.grad = narrow(this.flats[bucket]!, 0, start, length)
    })
    return { waitMs, launchedInBackward }
  }

  gatherParameters(): void {
    noGrad(() => {
      scope(() => {
        for (const [i, { bucket, start, length }] of this.shardPlans.entries())
          copy_(narrow(this.flats[bucket]!, 0, start, length), detach(this.shards[i]!.value))
      })
      this.gather()
      scope(() => {
        for (const [bucket, { members }] of this.plans.entries())
          for (const { index, start, length } of members)
            copy_(flatten(this.parameters[index]!), narrow(this.flats[bucket]!, 0, start, length))
      })
    })
    // They hold values of parameters now, which nobody may take for gradients.
    for (const parameter of this.parameters) parameter.grad = undefined
    for (const { value } of this.shards) value.grad = undefined
  }

  gatherShards(perShard: readonly Tensor[]): Tensor[] {
    if (perShard.length !== this.shards.length)
      throw new TorchError('BAD_ARGUMENT', `${perShard.length} tensors for ${this.shards.length} shards`)
    const whole = new Array<Tensor>(this.parameters.length)
    noGrad(() => {
      for (const [bucket, plan] of this.plans.entries()) {
        const parts = scope(() => this.gatherBucket(bucket, plan, perShard))
        for (const [i, { index }] of plan.members.entries()) whole[index] = parts[i]!
      }
    })
    return whole
  }

  /** One bucket's members from everyone's shards. */
  private gatherBucket(
    bucket: number,
    { members, pieceLength }: BucketPlan,
    perShard: readonly Tensor[],
  ): Tensor[] {
    const worldSize = this.group?.worldSize ?? 1
    const rank = this.group?.rank ?? 0
    // Ranks without a shard here take part all the same: one dtype for all.
    const dtype = perShard[0]?.dtype ?? 'float32'
    const piece = zeros([pieceLength], { dtype })
    for (const [i, shard] of this.shardPlans.entries())
      if (shard.bucket === bucket)
        copy_(narrow(piece, 0, shard.start - rank * pieceLength, shard.length), perShard[i]!)
    const all = this.group === undefined ? piece : zeros([pieceLength * worldSize], { dtype })
    this.group?.gatherEqual(piece, all)
    return members.map(({ index, start, length }) =>
      clone(view(narrow(all, 0, start, length), this.parameters[index]!.shape)),
    )
  }

  dispose(): void {
    for (const parameter of this.parameters) parameter.grad = undefined
    for (const { value } of this.shards) {
      value.grad = undefined
      value.dispose()
    }
    if (this.group === undefined) engine().native.bucketsClose(this.id, 0)
    else this.group.closeBuckets(this.id)
    for (const flat of this.flats) flat.dispose()
  }

  /** Every rank's piece of every bucket to all. */
  private gather(): void {
    this.together((limitMs) => engine().native.bucketsGather(this.id, limitMs) || undefined)
  }

  /** Runs what moves a piece of every bucket to every other rank. */
  private together<T>(action: (limitMs: number) => T | undefined): T {
    if (this.group === undefined) return action(0)!
    const bytes = this.plans.reduce((total, plan) => total + pieceBytes(plan), 0)
    return this.group.transfer(this.id, bytes * (this.group.worldSize - 1), action)
  }
}

function pieceBytes({ pieceLength, dtype }: BucketPlan): number {
  return pieceLength * itemBytes(dtype)
}

/** [numel], the parameter's own memory. */
function flatten(parameter: Tensor): Tensor {
  return view(detach(parameter), [-1])
}
