/** Learning curves of sources: loss against what was read. */
import { minimise } from '../statistics/index.js'

/** L(n) = exp(e) + exp(a) n^(-alpha). */
export interface LossCurve {
  readonly a: number
  readonly e: number
  readonly alpha: number
}

/** A point of a curve. */
export interface CurvePoint {
  /** Samples that were read. */
  readonly n: number
  /** Nats per label. */
  readonly loss: number
}

/** Border between the square and the line of the Huber loss. */
const DELTA = 1e-3
/** Beyond these a curve is charged what it is over. */
const BOUNDS = { mostAlpha: 0.8, leastAlpha: 0.001, mostA: 6.5, leastE: 0.5 } as const
const GRID = {
  a: [-2, -1, 0, 1, 2, 3, 4, 5],
  e: [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5],
  alpha: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
} as const
/** Of the grid, those that a minimum is looked for from. */
const STARTS = 16
const SEARCH = { tolerance: 1e-8, maxSteps: 200 } as const
/** Exponents that a slope is computed with are not smaller. */
const LEAST_EXPONENT = 0.05

/** L(n). */
export const curveAt = ({ a, e, alpha }: LossCurve, n: number): number =>
  Math.exp(e) + Math.exp(a) * n ** -alpha

/** -dL/dn of a curve with an exponent of 0.05 at least: max(alpha, 0.05) (L(n) - exp(e)) / n. */
export const slopeAt = (curve: LossCurve, n: number): number =>
  (Math.max(curve.alpha, LEAST_EXPONENT) * (curveAt(curve, n) - Math.exp(curve.e))) / n

/**
 * What a curve is off: the sum over the points of Huber's loss of ln L(n) - ln loss, and how far its parameters lie beyond their bounds.
 *
 * @param gradient  [3], written into: of a, e and alpha.
 */
export function curveError(
  [a, e, alpha]: ArrayLike<number> & Iterable<number>,
  points: readonly CurvePoint[],
  gradient: Float64Array = new Float64Array(3),
): number {
  const { mostAlpha, leastAlpha, mostA, leastE } = BOUNDS
  gradient.fill(0)
  let error = 0
  for (const { n, loss } of points) {
    const logN = Math.log(n)
    const power = Math.exp(a! - alpha! * logN)
    const value = Math.exp(e!) + power
    const difference = Math.log(value) - Math.log(loss)
    const size = Math.abs(difference)
    error += size > DELTA ? DELTA * (size - DELTA / 2) : (difference * difference) / 2
    const pull = Math.max(-DELTA, Math.min(DELTA, difference)) / value
    gradient[0]! += pull * power
    gradient[1]! += pull * Math.exp(e!)
    gradient[2]! -= pull * power * logN
  }
  const charge = (over: number, place: number, sign: number) => {
    if (over <= 0) return
    error += over
    gradient[place]! += sign
  }
  charge(alpha! - mostAlpha, 2, 1)
  charge(leastAlpha - alpha!, 2, -1)
  charge(a! - mostA, 0, 1)
  charge(leastE - e!, 1, -1)
  return error
}

/**
 * The curve that is least off: the best of the minima that L-BFGS finds from the best places of a grid, and from the last curve.
 *
 * @returns undefined where no parameters are finite.
 * @see Jiang et al., Adaptive Data Optimization, arXiv 2410.11820.
 */
export function fitCurve(points: readonly CurvePoint[], last?: LossCurve): LossCurve | undefined {
  const grid = GRID.a.flatMap((a) =>
    GRID.e.flatMap((e) =>
      GRID.alpha.map((alpha) => ({ start: [a, e, alpha], error: curveError([a, e, alpha], points) })),
    ),
  )
  const starts = grid
    .filter(({ error }) => Number.isFinite(error))
    .sort((one, other) => one.error - other.error)
    .slice(0, STARTS)
    .map(({ start }) => start)
  const found = [...starts, ...(last ? [[last.a, last.e, last.alpha]] : [])]
    .map((start) => minimise((x, gradient) => curveError(x, points, gradient), start, SEARCH))
    .filter(({ x, value }) => Number.isFinite(value) && x.every(Number.isFinite))
  if (found.length === 0) return undefined
  const [a, e, alpha] = found.reduce((one, other) => (other.value < one.value ? other : one)).x
  return { a: a!, e: e!, alpha: alpha! }
}
