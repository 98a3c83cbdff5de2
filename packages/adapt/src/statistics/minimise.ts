/** F numbers that a function depends on. */

/** A function of F numbers: its value; the gradient is written into the second argument. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number

/** Where a minimum was found. */
export interface Minimum {
  readonly x: Float64Array
  readonly value: number
}

/** Steps that the approximation of the curvature remembers. */
const MEMORY = 10
/** Of the expected fall, what a step must bring (Armijo). */
const SUFFICIENT = 1e-4
const MAX_HALVINGS = 40

/**
 * A local minimum by L-BFGS with a line search that halves. It ends where the gradient's norm is at most `tolerance`, where no step lowers the
 * value any more (at a kink, say), or after `maxSteps`.
 *
 * @param start  [F]; the value there must be finite.
 * @see Nocedal and Wright, Numerical Optimization, algorithm 7.5.
 */
export function minimise(
  objective: Objective,
  start: ArrayLike<number>,
  { tolerance, maxSteps }: { readonly tolerance: number; readonly maxSteps: number },
): Minimum {
  let x = Float64Array.from(start)
  let gradient = new Float64Array(x.length)
  let value = objective(x, gradient)
  let pairs: Pair[] = []
  for (let step = 0; step < maxSteps && norm(gradient) > tolerance; step++) {
    let direction = descent(pairs, gradient)
    if (!(dot(direction, gradient) < 0)) {
      pairs = []
      direction = descent(pairs, gradient)
    }
    const slope = dot(direction, gradient)
    const found = search(objective, x, value, direction, slope)
    if (found === undefined) {
      if (pairs.length === 0) break
      // What is remembered is of another side of a kink.
      pairs = []
      continue
    }
    const change = { s: minus(found.x, x), y: minus(found.gradient, gradient) }
    if (dot(change.s, change.y) > 1e-12 * dot(change.y, change.y))
      pairs = [...pairs.slice(1 - MEMORY), change]
    ;({ x, value, gradient } = found)
  }
  return { x, value }
}

interface Pair {
  /** Change of x. */
  readonly s: Float64Array
  /** Change of the gradient. */
  readonly y: Float64Array
}

/** Minus the gradient, times the approximated inverse of the curvature. */
function descent(pairs: readonly Pair[], gradient: Float64Array): Float64Array {
  const direction = gradient.map((g) => -g)
  const factors: number[] = []
  for (const { s, y } of [...pairs].reverse()) {
    const factor = dot(s, direction) / dot(s, y)
    factors.push(factor)
    for (let i = 0; i < direction.length; i++) direction[i]! -= factor * y[i]!
  }
  const last = pairs.at(-1)
  const scale = last ? dot(last.s, last.y) / dot(last.y, last.y) : 1 / Math.max(1, norm(gradient))
  for (let i = 0; i < direction.length; i++) direction[i]! *= scale
  for (const { s, y } of pairs) {
    const factor = factors.pop()! - dot(y, direction) / dot(s, y)
    for (let i = 0; i < direction.length; i++) direction[i]! += factor * s[i]!
  }
  return direction
}

/** The longest of the steps 1, 1/2, 1/4 ... that lowers the value enough. */
function search(
  objective: Objective,
  x: Float64Array,
  value: number,
  direction: Float64Array,
  slope: number,
) {
  let length = 1
  for (let i = 0; i < MAX_HALVINGS; i++, length /= 2) {
    const next = x.map((own, k) => own + length * direction[k]!)
    const gradient = new Float64Array(x.length)
    const reached = objective(next, gradient)
    if (reached <= value + SUFFICIENT * length * slope && reached < value) {
      return { x: next, value: reached, gradient }
    }
  }
  return undefined
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, own, i) => sum + own * b[i]!, 0)
const norm = (a: Float64Array): number => Math.sqrt(dot(a, a))
const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((own, i) => own - b[i]!)
