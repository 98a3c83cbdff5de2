import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  add,
  backward,
  div,
  exp,
  log,
  logSoftmax,
  matmul,
  mean,
  mul,
  pow,
  rsqrt,
  scope,
  sigmoid,
  silu,
  sin,
  softmax,
  sqrt,
  sum,
  type Tensor,
  tensor,
  transpose,
} from './index.js'

const ROWS = 2
const COLUMNS = 3
const SIZE = ROWS * COLUMNS

/** Smooth functions of one matrix; those with a pole or a root stay away from it. */
const UNARY: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  sin,
  sigmoid,
  silu,
  'exp of a half': (x) => exp(div(x, 2)),
  'log of 1 + x^2': (x) => log(add(mul(x, x), 1)),
  'sqrt of 1 + x^2': (x) => sqrt(add(mul(x, x), 1)),
  'rsqrt of 1 + x^2': (x) => rsqrt(add(mul(x, x), 1)),
  cube: (x) => pow(x, 3),
  'softmax of rows': (x) => softmax(x, 1),
  'log-softmax of columns': (x) => logSoftmax(x, 0),
  'minus its mean': (x) => add(x, mul(mean(x, 1, true), -1)),
}

/** Of the matrix so far and the second argument. */
const BINARY: Readonly<Record<string, (x: Tensor, y: Tensor) => Tensor>> = {
  add,
  mul,
  'division by 2 + y^2': (x, y) => div(x, add(mul(y, y), 2)),
  'product with y^T y': (x, y) => matmul(x, matmul(transpose(y, 0, 1), y)),
}

const numbers = fc.array(fc.double({ min: -1.5, max: 1.5, noNaN: true }), {
  minLength: SIZE,
  maxLength: SIZE,
})
const steps = fc.array(
  fc.oneof(
    fc.constantFrom(...Object.keys(UNARY)).map((name) => ({ name, apply: (x: Tensor) => UNARY[name]!(x) })),
    fc.constantFrom(...Object.keys(BINARY)).map((name) => ({ name, apply: BINARY[name]! })),
  ),
  { minLength: 1, maxLength: 4 },
)

describe('gradients in float64', () => {
  it('agree with central differences for any chain of operators', () => {
    fc.assert(
      fc.property(steps, numbers, numbers, numbers, (chain, xs, ys, weights) => {
        const matrix = (values: readonly number[]) => tensor(Float64Array.from(values), [ROWS, COLUMNS])
        const lossOf = (x: Tensor, y: Tensor) =>
          sum(
            mul(
              chain.reduce((value, { apply }) => apply(value, y), x),
              matrix(weights),
            ),
          )
        const valueAt = (a: readonly number[], b: readonly number[]) =>
          scope(() => lossOf(matrix(a), matrix(b)).item())
        const [dx, dy] = scope(() => {
          const [x, y] = [matrix(xs).setRequiresGrad(), matrix(ys).setRequiresGrad()]
          backward([lossOf(x, y)])
          return [x, y].map(({ grad }) =>
            grad ? Array.from(grad.toFloat64Array()) : Array<number>(SIZE).fill(0),
          )
        }) as [number[], number[]]

        const step = 1e-5
        const moved = (values: readonly number[], i: number, by: number) =>
          values.map((v, j) => (i === j ? v + by : v))
        for (let i = 0; i < SIZE; i++) {
          const alongX = (valueAt(moved(xs, i, step), ys) - valueAt(moved(xs, i, -step), ys)) / (2 * step)
          const alongY = (valueAt(xs, moved(ys, i, step)) - valueAt(xs, moved(ys, i, -step))) / (2 * step)
          expect(Math.abs(dx[i]! - alongX)).toBeLessThan(1e-6 * Math.max(1, Math.abs(alongX)))
          expect(Math.abs(dy[i]! - alongY)).toBeLessThan(1e-6 * Math.max(1, Math.abs(alongY)))
        }
      }),
      { numRuns: 60 },
    )
  })
})
