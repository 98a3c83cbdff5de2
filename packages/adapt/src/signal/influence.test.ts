import { matmul, nn, scope, tensor, transpose } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { influenceScores, rateShares } from './influence.js'

describe('influenceScores', () => {
  it('gives the worked numbers: from a direction to a score', () => {
    const signs = [1, -1, 1, 1, -1, 1]
    const unit = (rows: readonly (readonly number[])[]) =>
      nn.unitRows(matmul(tensor(rows.flat(), [rows.length, 3]), tensor(signs, [3, 2])))
    const anchors = [
      [0.2, 0.1, 0],
      [0, 0.3, 0.1],
      [-0.1, 0.1, 0.2],
      [0.3, -0.1, 0.1],
    ]
    const [own, dots] = scope(() => {
      const u = unit([[1.81232, -0.648292, -1.684901]])
      return [u.toFloat32Array(), matmul(u, transpose(unit(anchors), 0, 1)).toFloat32Array()]
    }) as [Float32Array, Float32Array]
    for (const [i, value] of [0.566379, -0.824145].entries()) expect(own[i]).toBeCloseTo(value, 4)
    for (const [v, value] of [0.797932, -0.483845, -0.99043, 0.960957].entries())
      expect(dots[v]).toBeCloseTo(value, 4)

    const second = [0.5, 0.1, -0.2, 0.4]
    const mixed = influenceScores([dots, second], [3, 1], 4)
    expect(mixed[0]).toBeCloseTo(0.820718, 4)
    const means = (values: ArrayLike<number>) => [
      (values[0]! + values[1]!) / 2,
      (values[2]! + values[3]!) / 2,
    ]
    expect(influenceScores([means(dots), means(second)], [3, 1], 2)[0]).toBeCloseTo(0.192782, 4)
  })

  it('marks a sample without a gradient as one that is never kept', () => {
    const scores = influenceScores([[Number.NaN, Number.NaN, 0.5, -0.5]], [1], 2)
    expect([...scores]).toEqual([Number.NEGATIVE_INFINITY, 0.5])
  })

  it('weighs checkpoints by their learning rates, as in the source', () => {
    const shares = rateShares([1.6877e-5, 1.2859e-5, 7.703e-6, 2.5616e-6])
    for (const [c, share] of [0.421919, 0.32147, 0.192572, 0.064039].entries())
      expect(shares[c]).toBeCloseTo(share, 4)
    expect(rateShares([0, 0])).toEqual([0.5, 0.5])
  })
})
