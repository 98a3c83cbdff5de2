import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { SignProjection } from './sign-projection.js'

const signsOf = (projection: SignProjection, start: number, count: number) =>
  scope(() => projection.signs(start, count, 'cpu').toFloat32Array())

/** A vector that is the same everywhere, without a pattern. */
const vector = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(1.7 * i * i + phase))

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)

describe('a projection by signs', () => {
  it('is a matrix of signs, however it is cut into blocks', () => {
    using projection = new SignProjection(37, 5)
    const whole = signsOf(projection, 0, 100)
    expect(new Set(whole)).toEqual(new Set([-1, 1]))
    expect([...signsOf(projection, 0, 60), ...signsOf(projection, 60, 40)]).toEqual([...whole])
    using again = new SignProjection(37, 5)
    expect(signsOf(again, 0, 100)).toEqual(whole)
    using other = new SignProjection(37, 6)
    expect(signsOf(other, 0, 100)).not.toEqual(whole)
    const expected = scope(() => {
      const g = vector(100, 0)
      return Float32Array.from({ length: 37 }, (_, d) =>
        g.reduce((sum, v, p) => sum + v * whole[p * 37 + d]!, 0),
      )
    })
    const projected = scope(() => projection.apply(tensor(vector(100, 0), [1, 100])).toFloat32Array())
    for (const [d, value] of expected.entries()) expect(projected[d]).toBeCloseTo(value, 4)
  })

  it('has columns and rows that know nothing of each other', () => {
    using projection = new SignProjection(256, 1)
    const signs = signsOf(projection, 0, 256)
    const rows = Array.from({ length: 256 }, (_, p) => signs.subarray(p * 256, (p + 1) * 256))
    const columns = rows.map((_, d) => Float32Array.from(rows, (row) => row[d]!))
    const limit = 6 * 16
    for (const list of [rows, columns]) {
      for (let i = 0; i < 256; i++) {
        expect(Math.abs(list[i]!.reduce((a, b) => a + b, 0))).toBeLessThan(limit)
        for (let j = 0; j < i; j++)
          if (Math.abs(dot(list[i]!, list[j]!)) > limit) expect([i, j]).toBe('apart')
      }
    }
    // Beyond 2^32 rows are others.
    expect(signsOf(projection, 2 ** 32, 4)).not.toEqual(signsOf(projection, 0, 4))
  })

  it('keeps cosines of long vectors', () => {
    using projection = new SignProjection(4096, 2)
    const a = vector(20_000, 0)
    const b = Float32Array.from(vector(20_000, 1), (value, i) => 0.6 * a[i]! + 0.8 * value)
    const cosine = (x: Float32Array, y: Float32Array) => dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y))
    const [u, v] = scope(() => {
      const both = projection.apply(tensor(Float32Array.from([...a, ...b]), [2, 20_000])).toFloat32Array()
      return [both.slice(0, 4096), both.slice(4096)]
    }) as [Float32Array, Float32Array]
    expect(Math.abs(cosine(u, v) - cosine(a, b))).toBeLessThan(0.05)
  })

  it('leaves vectors alone that are no longer than it is wide', () => {
    using projection = new SignProjection(8, 0)
    scope(() => {
      const short = tensor(vector(8, 0), [1, 8])
      expect(projection.apply(short)).toBe(short)
    })
  })
})
