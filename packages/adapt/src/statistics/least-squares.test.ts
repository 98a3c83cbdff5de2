import { describe, expect, it } from 'vitest'
import { leastSquares } from './least-squares.js'

describe('leastSquares', () => {
  it('gives the coefficients of the worked example', () => {
    const rows = [
      [0.8, 0.1, 0.1],
      [0.1, 0.8, 0.1],
      [0.1, 0.1, 0.8],
      [0.4, 0.3, 0.3],
      [0.2, 0.5, 0.3],
    ]
    const found = leastSquares(rows, [3.2, 3.6, 3.9, 3.4, 3.55])!
    for (const [g, expected] of [3.00479, 3.568043, 4.012412].entries())
      expect(found[g]).toBeCloseTo(expected, 6)
  })

  it('says that rows do not determine them', () => {
    expect(leastSquares([[1, 2]], [1])).toBeUndefined()
    expect(
      leastSquares(
        [
          [1, 2],
          [2, 4],
          [3, 6],
        ],
        [1, 2, 3],
      ),
    ).toBeUndefined()
  })

  it('takes a pivot from below where the first is 0', () => {
    const found = leastSquares(
      [
        [0, 1],
        [1, 0],
      ],
      [5, 7],
    )!
    expect([...found]).toEqual([7, 5])
  })
})
