import {
  type Collective,
  distributed,
  type nn,
  optim,
  scope,
  type Tensor,
  zeros,
  zerosLike,
} from '@adapt-ts/torch'

/** Something that this rank's optimiser updates: a whole parameter, or a run of its elements. */
export interface Updated {
  /** Its gradient is the sum over ranks after `finish`. */
  readonly part: nn.Parameter
  /** The parameter that it is of, in the list that was exchanged, and its first element there. */
  readonly index: number
  readonly offset: number
}

/** How the gradients of the ranks become one, and the updates of the ranks one model. A step calls these in their order. */
export interface GradientExchange {
  /** Whether this rank updates a part of the model alone. */
  readonly isSharded: boolean
  readonly updated: readonly Updated[]
  /** Gradients of nothing yet. */
  zero(): void
  /**
   * The next backward is this rank's last of the step, or there is none.
   * @param scale  float32 scalar: what this rank's gradients are multiplied by before they are summed.
   */
  arm(scale: Tensor): void
  /** The gradient of a parameter is whole; for one that does not come by backward. */
  ready(parameter: nn.Parameter): void
  /** Waits for the sums. @returns Milliseconds that this rank waited. */
  finish(): number
  /** Norm of the sums that this rank answers for, a scalar on the device; the norm of all is the root of the sum of squares over ranks. */
  ownNorm(): Tensor
  /** After the update: every rank has all of the model. */
  publish(): void
  /** Whole tensors in the place of one like each of `updated` on every rank. They belong to the current scope, unless they are the same. */
  gather(parts: readonly Tensor[]): readonly Tensor[]
  dispose(): void
}

/** What a rank keeps of the optimiser's state. */
export type Sharding = 'auto' | 'off'

const MEBIBYTE = 1 << 20

/**
 * Buckets as large as DistributedDataParallel's, or as give every rank a piece of a mebibyte, but at least eight where the gradients are small:
 * the last ones leave when backward is over.
 */
function bucketCap(parameters: readonly nn.Parameter[], worldSize: number): number {
  const bytes = parameters.reduce((total, { numel }) => total + 4 * numel, 0)
  const usual = Math.max(25, worldSize) * MEBIBYTE
  return Math.min(usual, Math.max(MEBIBYTE, Math.ceil(bytes / 8)))
}

/**
 * The exchange that the ranks allow: by buckets between processes, of which each updates its shards or, with `off`, everything.
 * Parameters in the order of the forward pass.
 */
export function createGradientExchange(
  model: { zeroGrad(): void },
  parameters: readonly nn.Parameter[],
  collective: Collective,
  sharding: Sharding,
): GradientExchange {
  if (collective.worldSize > 1 && distributed.isProcessGroup(collective))
    return new BucketExchange(
      distributed.createGradientBuckets(collective, parameters, {
        capBytes: bucketCap(parameters, collective.worldSize),
      }),
      parameters,
      collective.rank === 0,
      sharding === 'auto',
    )
  return new PlainExchange(model, parameters, collective)
}

const wholes = (parameters: readonly nn.Parameter[]): Updated[] =>
  parameters.map((part, index) => ({ part, index, offset: 0 }))

/** Norm of the gradients of some parts of `parameters`; on their device where there is none, too. */
function normOf(updated: readonly Updated[], parameters: readonly nn.Parameter[]): Tensor {
  if (updated.length === 0) return zeros([], { device: parameters[0]?.device ?? 'cpu' })
  return optim.gradNorm(updated.map(({ part }) => part))
}

/** One process, or ranks that share a memory: gradients are summed tensor by tensor after backward. */
class PlainExchange implements GradientExchange {
  readonly isSharded = false
  readonly updated: readonly Updated[]
  private scale: Tensor | undefined

  constructor(
    private readonly model: { zeroGrad(): void },
    private readonly parameters: readonly nn.Parameter[],
    private readonly collective: Collective,
  ) {
    this.updated = wholes(parameters)
  }

  zero(): void {
    this.scale?.dispose()
    this.scale = undefined
    this.model.zeroGrad()
  }

  arm(scale: Tensor): void {
    this.scale = scale.persist()
  }

  ready(): void {}

  finish(): number {
    const { collective, parameters } = this
    const start = performance.now()
    optim.scaleGradients(parameters, this.scale!)
    this.scale!.dispose()
    this.scale = undefined
    if (collective.worldSize === 1) return 0
    scope(() => {
      // A rank without samples takes part with zeros.
      for (const parameter of parameters) parameter.grad ??= zerosLike(parameter)
      collective.allReduceSum(parameters.map((parameter) => parameter.grad!))
    })
    return performance.now() - start
  }

  ownNorm(): Tensor {
    return normOf(this.collective.rank === 0 ? this.updated : [], this.parameters)
  }

  publish(): void {}

  gather(parts: readonly Tensor[]): readonly Tensor[] {
    return parts
  }

  dispose(): void {
    this.zero()
  }
}

/** Processes: gradients leave in buckets while backward runs. Sharded (ZeRO-1), a rank has the sums of its pieces alone. */
class BucketExchange implements GradientExchange {
  readonly updated: readonly Updated[]

  constructor(
    private readonly buckets: distributed.GradientBuckets,
    private readonly parameters: readonly nn.Parameter[],
    /** Whether this rank answers for the norm of sums that all ranks have. */
    private readonly answers: boolean,
    readonly isSharded: boolean,
  ) {
    this.updated = isSharded
      ? buckets.shards.map(({ parameterIndex, offset, value }) => ({
          part: value,
          index: parameterIndex,
          offset,
        }))
      : wholes(parameters)
  }

  zero(): void {
    this.buckets.zero()
  }

  arm(scale: Tensor): void {
    this.buckets.arm(scale)
  }

  ready(parameter: nn.Parameter): void {
    this.buckets.ready(parameter)
  }

  finish(): number {
    return this.buckets.finish(this.isSharded ? 'shard' : 'sum').waitMs
  }

  ownNorm(): Tensor {
    return normOf(this.isSharded || this.answers ? this.updated : [], this.parameters)
  }

  publish(): void {
    if (this.isSharded) this.buckets.gatherParameters()
  }

  gather(parts: readonly Tensor[]): readonly Tensor[] {
    return this.isSharded ? this.buckets.gatherShards(parts) : parts
  }

  dispose(): void {
    this.buckets.dispose()
  }
}
