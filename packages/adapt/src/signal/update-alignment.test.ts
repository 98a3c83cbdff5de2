import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { CountSketch, countSketch } from './count-sketch.js'
import { divisors, updateFactor } from './update-alignment.js'

const MOMENTS = [1e-2, 4e-2, 1e-4, 9e-4]
const ADAMW = { beta1: 0.9, beta2: 0.95 }
const valuesOf = (moments: readonly number[], floor = 1e-4) =>
  scope(() => [...divisors(tensor(moments, [moments.length]), floor, 1e-8).toFloat32Array()])

describe('what AdamW makes of a gradient', () => {
  it('gives the worked scores and products of two samples and a proxy', () => {
    const c = updateFactor(ADAMW, 10, 2e-3)
    expect(c).toBeCloseTo(1.945132e-4, 10)
    // Outer products of the worked layer's output gradients and inputs, summed over its two tokens.
    const gradients = [
      [0.5, 1.2, -1, -1.6],
      [-0.3, -0.2, 1.3, 0.5],
    ]
    const proxy = [0.3, 0.4, -0.2, -0.1]
    const scale = valuesOf(MOMENTS)
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
    const moved = gradients.map((g) => g.map((x, i) => x * scale[i]!))
    expect(gradients.map((g) => dot(g, proxy))[0]).toBeCloseTo(0.99, 6)
    const aligned = moved.map((u) => dot(u, proxy))
    expect(aligned[0]).toBeCloseTo(29.233311, 3)
    expect(aligned[1]).toBeCloseTo(-28.96664, 3)
    expect(aligned.map((x) => (x * c) / 2)).toEqual([
      expect.closeTo(2.843133e-3, 8),
      expect.closeTo(-2.817197e-3, 8),
    ])
    const products = [dot(moved[0]!, moved[0]!), dot(moved[0]!, moved[1]!), dot(moved[1]!, moved[1]!)]
    const scaled = products.map((x) => (x * c * c) / 4)
    for (const [i, value] of [1.220704e-4, -1.315713e-4, 1.625763e-4].entries())
      expect(scaled[i]).toBeCloseTo(value, 9)
  })

  it('does not let a number that was hardly ever updated count for all others', () => {
    expect(valuesOf([1, 1, 0, 1e-12], 1e-4)[2]).toBeCloseTo(1 / Math.sqrt(0.5e-4), 2)
    expect(valuesOf([1, 1, 0, 1e-12], 0)[2]).toBeCloseTo(1e8, -2)
    expect(valuesOf([0, 0, 0])).toEqual([0, 0, 0])
    expect(valuesOf([0, 0, 0], 0)).toEqual([0, 0, 0])
  })
})

describe('countSketch', () => {
  it('gives the worked sketches and their product', () => {
    const sketch = (values: readonly number[]) =>
      scope(() => [
        ...countSketch(
          tensor(values, [1, 4]),
          tensor(Int32Array.of(0, 1, 1, 0), [4], { dtype: 'int64' }),
          tensor([1, -1, 1, 1], [4]),
          tensor([0, 0], [1, 2]),
        ).toFloat32Array(),
      ])
    const [x, y] = [sketch([1, -2, 0.5, 3]), sketch([0.5, 1, -1, 2])]
    expect([x, y]).toEqual([
      [4, 2.5],
      [2.5, -2],
    ])
    expect(x[0]! * y[0]! + x[1]! * y[1]!).toBe(5)
  })

  it('keeps inner products on average over seeds, with the variance that is said of it', () => {
    const x = Array.from({ length: 200 }, (_, i) => Math.sin(i))
    const y = Array.from({ length: 200 }, (_, i) => Math.cos(1.3 * i) + 0.3 * Math.sin(i))
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0)
    const found = Array.from({ length: 400 }, (_, seed) =>
      scope(() => {
        using sketch = new CountSketch(32, seed)
        const values = sketch.apply('layer', tensor([...x, ...y], [2, 200])).toFloat32Array()
        return dot(values.subarray(0, 32), values.subarray(32))
      }),
    )
    const mean = found.reduce((sum, value) => sum + value, 0) / found.length
    const variance = found.reduce((sum, value) => sum + (value - dot(x, y)) ** 2, 0) / found.length
    const expected = (dot(x, x) * dot(y, y) + dot(x, y) ** 2) / 32
    expect(Math.abs(mean - dot(x, y))).toBeLessThan(4 * Math.sqrt(expected / found.length))
    expect(variance / expected).toBeGreaterThan(0.6)
    expect(variance / expected).toBeLessThan(1.5)
  })

  it('hashes by seed and layer, the same in every step', () => {
    const of = (seed: number, layer: string) =>
      scope(() => {
        using sketch = new CountSketch(16, seed)
        const row = tensor(
          Float32Array.from({ length: 50 }, (_, i) => i + 1),
          [1, 50],
        )
        return [...sketch.apply(layer, row).toFloat32Array()]
      })
    expect(of(1, 'a')).toEqual(of(1, 'a'))
    expect(of(1, 'a')).not.toEqual(of(2, 'a'))
    expect(of(1, 'a')).not.toEqual(of(1, 'b'))
  })
})
