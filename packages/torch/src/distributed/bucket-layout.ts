import type { DType } from '../dtype.js'

/** What a layout needs to know of a parameter. */
export interface BucketItem {
  readonly numel: number
  readonly dtype: DType
  readonly itemBytes: number
}

/** One bucket: `members` are indices of items with their places in it. */
export interface BucketPlan {
  readonly dtype: DType
  readonly members: readonly { readonly index: number; readonly start: number; readonly length: number }[]
  /** Elements of a rank's piece; the bucket has worldSize times as many, zeros at its end. */
  readonly pieceLength: number
}

/** A run of elements of one parameter that one rank updates. */
export interface ShardPlan {
  readonly index: number
  /** First element, of the parameter flattened. */
  readonly offset: number
  readonly length: number
  readonly bucket: number
  /** First element, in the bucket. */
  readonly start: number
}

/**
 * Buckets of at most `capBytes` (an item that is larger has one of its own) of one dtype, filled from the last item to the first: gradients
 * come in about that order. A function of its arguments alone, so that all ranks have the same.
 */
export function planBuckets(items: readonly BucketItem[], capBytes: number, worldSize: number): BucketPlan[] {
  const plans: {
    dtype: DType
    members: { index: number; start: number; length: number }[]
    numel: number
  }[] = []
  for (let index = items.length - 1; index >= 0; index--) {
    const { numel, dtype, itemBytes } = items[index]!
    let plan = plans.at(-1)
    if (plan === undefined || plan.dtype !== dtype || (plan.numel + numel) * itemBytes > capBytes) {
      plan = { dtype, members: [], numel: 0 }
      plans.push(plan)
    }
    plan.members.push({ index, start: plan.numel, length: numel })
    plan.numel += numel
  }
  return plans.map(({ dtype, members, numel }) => ({
    dtype,
    members,
    pieceLength: Math.max(1, Math.ceil(numel / worldSize)),
  }))
}

/** The runs that the pieces of `rank` cut from the parameters, in the order of the buckets. */
export function planShards(buckets: readonly BucketPlan[], rank: number): ShardPlan[] {
  return buckets.flatMap(({ members, pieceLength }, bucket) => {
    const [from, to] = [rank * pieceLength, (rank + 1) * pieceLength]
    return members.flatMap(({ index, start, length }) => {
      const [first, end] = [Math.max(from, start), Math.min(to, start + length)]
      return first < end ? [{ index, offset: first - start, length: end - first, bucket, start: first }] : []
    })
  })
}
