import { describe, expect, it } from 'vitest'
import { openGolden } from '../model/golden.test.fixture.js'
import { smoothSavitzkyGolay } from '../statistics/index.js'
import { curveAt, curveError, fitCurve, slopeAt } from './loss-curves.js'

const CURVES = [
  { a: 1, e: 0.6, alpha: 0.3 },
  { a: 0.5, e: 0.7, alpha: 0.2 },
  { a: 1.5, e: 0.5, alpha: 0.02 },
]
const N = 256_000

describe('learning curves', () => {
  it('have the worked values, and the worked slopes with an exponent of 0.05 at least', () => {
    for (const [i, expected] of [1.886956, 2.150368, 5.142351].entries())
      expect(curveAt(CURVES[i]!, N)).toBeCloseTo(expected, 6)
    for (const [i, expected] of [7.5981e-8, 1.06731e-7, 6.8235e-7].entries())
      expect(slopeAt(CURVES[i]!, N) / expected).toBeCloseTo(1, 4)
  })

  it('are off by the worked sum of Huber terms', () => {
    const points = [
      { n: 1e3, loss: 2.2 },
      { n: 1e4, loss: 2 },
      { n: 1e5, loss: 1.9 },
    ]
    expect(curveError([1, 0.6, 0.3], points) / 2.227889e-5).toBeCloseTo(1, 6)
    // Each parameter beyond its bound is charged by how far.
    const charged = (x: readonly number[]) => curveError(x, [])
    expect(charged([1, 0.6, 0.9])).toBeCloseTo(0.1, 12)
    expect(charged([1, 0.6, -0.1])).toBeCloseTo(0.101, 12)
    expect(charged([7, 0.6, 0.3])).toBeCloseTo(0.5, 12)
    expect(charged([1, 0.2, 0.3])).toBeCloseTo(0.3, 12)
  })

  it('have the gradient of what they are off', () => {
    const points = [30, 100, 300, 1000].map((n) => ({ n, loss: 2.1 + 2 * n ** -0.4 }))
    for (const x of [
      [1, 0.6, 0.3],
      [6.9, 0.4, 0.9],
      [0.7, 0.742, 0.401],
    ]) {
      const gradient = new Float64Array(3)
      curveError(x, points, gradient)
      for (let k = 0; k < 3; k++) {
        const moved = (by: number) =>
          curveError(
            x.map((own, i) => (i === k ? own + by : own)),
            points,
          )
        expect(gradient[k]).toBeCloseTo((moved(1e-6) - moved(-1e-6)) / 2e-6, 6)
      }
    }
  })
})

interface AdoGolden {
  readonly fits: readonly {
    readonly points: readonly (readonly (readonly [n: number, loss: number])[])[]
    readonly errors: readonly number[]
  }[]
  readonly smoothing: {
    readonly values: readonly number[]
    readonly 5: readonly number[]
    readonly 9: readonly number[]
  }
}
const GOLDEN = openGolden<AdoGolden>('ado').values

describe('fitCurve', () => {
  it('is no further off than the best of a long search', () => {
    for (const { points, errors } of GOLDEN.fits) {
      for (const [k, own] of points.entries()) {
        const list = own.map(([n, loss]) => ({ n, loss }))
        const { a, e, alpha } = fitCurve(list)!
        expect(curveError([a, e, alpha], list) - errors[k]!).toBeLessThan(0.002 * errors[k]!)
      }
    }
  })

  it('finds a curve without noise again', () => {
    const points = Array.from({ length: 80 }, (_, i) => ({
      n: 256 * (i + 10),
      loss: curveAt(CURVES[0]!, 256 * (i + 10)),
    }))
    const found = fitCurve(points)!
    for (const n of [2560, 20_000, 40_000])
      expect(slopeAt(found, n) / slopeAt(CURVES[0]!, n)).toBeCloseTo(1, 2)
  })

  it('gives none for losses that are no numbers', () => {
    expect(fitCurve([{ n: 10, loss: Number.NaN }])).toBeUndefined()
    expect(fitCurve([{ n: 10, loss: -1 }])).toBeUndefined()
  })
})

describe('the smoothing', () => {
  it('is that of a polynomial fitted to the window of every place', () => {
    for (const window of [5, 9] as const) {
      const smooth = smoothSavitzkyGolay(GOLDEN.smoothing.values, window, 3)
      for (const [i, expected] of GOLDEN.smoothing[window].entries())
        expect(smooth[i]).toBeCloseTo(expected, 9)
    }
  })
})
