/** V anchors, K width. */
import { createPermutation } from '../batch/index.js'
import { cholesky, choleskySolve } from '../statistics/index.js'

/** What a discriminant is solved from, in coordinates whose origin is the mean of the training samples. */
export interface DiscriminantInput {
  /** Of the training samples: float64 [K, K]. */
  readonly covariance: ArrayLike<number>
  /** float64 [V, K]. */
  readonly anchors: ArrayLike<number>
  readonly K: number
  /** l in [0, 1]. */
  readonly shrinkage: number
}

/** A direction v and what it tells; s(x) = <v, x> - <v, a>/2 with the mean anchor a, the origin being the mean of the training samples. */
export interface Discriminant {
  /** v, float64 [K]. */
  readonly direction: Float64Array
  /** <v, a>: the squared distance of the two means, in the metric of the shrunk covariance. */
  readonly distance: number
  /** Standard deviation of <v, x> over the training samples. */
  readonly deviation: number
  /** s of each anchor under the discriminant of the others, [V]; absent for one anchor. */
  readonly others?: Float64Array
  /** The directions that two halves of the anchors give, [K] each; absent for one anchor. */
  readonly halves?: readonly [Float64Array, Float64Array]
}

/**
 * Fisher's linear discriminant between the anchors and the training samples, whose covariance both share:
 *
 *   Sigma_l = (1 - l) Sigma + l (tr Sigma / K) I,   v = Sigma_l^-1 (mu_A - m)
 *
 * s is the logarithm of the ratio of their densities if both are normal. In float64.
 * @returns undefined where the samples do not vary, or Sigma_l cannot be inverted.
 */
export function solveDiscriminant({
  covariance,
  anchors,
  K,
  shrinkage,
}: DiscriminantInput): Discriminant | undefined {
  let trace = 0
  for (let i = 0; i < K; i++) trace += covariance[i * K + i]!
  if (!(trace > 0)) return undefined
  const shrunk = Float64Array.from(covariance, (value) => (1 - shrinkage) * value)
  for (let i = 0; i < K; i++) shrunk[i * K + i]! += (shrinkage * trace) / K
  const L = cholesky(shrunk, K)
  if (L === undefined) return undefined

  const V = anchors.length / K
  const places = Array.from({ length: V }, (_, v) => v)
  const mean = meanOf(anchors, places, K)
  const direction = choleskySolve(L, mean)
  const deviation = Math.sqrt(quadratic(covariance, direction))
  if (!(deviation > 0)) return undefined
  const solved = { direction, distance: dot(direction, mean), deviation }
  if (V < 2) return solved
  const place = createPermutation({ seed: 0, epoch: 0, numSamples: V, stream: 24 })
  const half = (second: boolean) => places.filter((v) => place(v) >= V / 2 === second)
  const halfDirection = (second: boolean) => choleskySolve(L, meanOf(anchors, half(second), K))
  return {
    ...solved,
    others: scoresByOthers(L, { anchors, K, mean, direction }),
    halves: [halfDirection(false), halfDirection(true)],
  }
}

/**
 * With the anchor a taken out, the mean is (V a_mean - a)/(V - 1) and so is the direction of it and of Sigma^-1 a; the covariance, which is of
 * the training samples, stays.
 */
function scoresByOthers(
  L: Float64Array,
  {
    anchors,
    K,
    mean,
    direction,
  }: Pick<DiscriminantInput, 'anchors' | 'K'> & { mean: Float64Array; direction: Float64Array },
): Float64Array {
  const V = anchors.length / K
  return Float64Array.from({ length: V }, (_, v) => {
    const anchor = Float64Array.from({ length: K }, (_, i) => anchors[v * K + i]!)
    const own = choleskySolve(L, anchor)
    const without = (all: Float64Array, one: Float64Array) =>
      all.map((value, i) => (V * value - one[i]!) / (V - 1))
    const v_K = without(direction, own)
    return dot(v_K, anchor) - dot(v_K, without(mean, anchor)) / 2
  })
}

function meanOf(rows: ArrayLike<number>, places: readonly number[], K: number): Float64Array {
  const mean = new Float64Array(K)
  for (const v of places) for (let i = 0; i < K; i++) mean[i]! += rows[v * K + i]! / places.length
  return mean
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0)

/** x^T A x. */
function quadratic(A: ArrayLike<number>, x: Float64Array): number {
  const K = x.length
  let sum = 0
  for (let i = 0; i < K; i++) for (let j = 0; j < K; j++) sum += x[i]! * A[i * K + j]! * x[j]!
  return sum
}
