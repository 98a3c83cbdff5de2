import { describe, expect, it } from 'vitest'
import { minimise } from './minimise.js'

const SEARCH = { tolerance: 1e-9, maxSteps: 500 }

describe('minimise', () => {
  it('finds the minimum at the end of a curved valley', () => {
    const { x, value } = minimise(
      (at, gradient) => {
        const [a, b] = at as unknown as [number, number]
        gradient[0] = -2 * (1 - a) - 400 * a * (b - a * a)
        gradient[1] = 200 * (b - a * a)
        return (1 - a) ** 2 + 100 * (b - a * a) ** 2
      },
      [-1.2, 1],
      SEARCH,
    )
    expect(value).toBeLessThan(1e-14)
    expect([x[0]!.toFixed(6), x[1]!.toFixed(6)]).toEqual(['1.000000', '1.000000'])
  })

  it('ends at a kink, where no gradient is 0', () => {
    const { x, value } = minimise(
      (at, gradient) => {
        gradient[0] = at[0]! > 0.5 ? 1 : -1
        gradient[1] = 2 * at[1]!
        return Math.abs(at[0]! - 0.5) + at[1]! ** 2
      },
      [3, -2],
      SEARCH,
    )
    expect(value).toBeLessThan(1e-6)
    expect(x[0]).toBeCloseTo(0.5, 5)
  })

  it('goes no further than it is told', () => {
    let calls = 0
    const { value } = minimise(
      (at, gradient) => {
        calls++
        gradient[0] = 1
        return at[0]!
      },
      [0],
      { tolerance: 0, maxSteps: 3 },
    )
    expect([calls, value]).toEqual([4, -3])
  })

  it('does not take a step to a value that is no number', () => {
    const { x } = minimise(
      (at, gradient) => {
        gradient[0] = 1 - 1 / at[0]!
        return at[0]! > 0 ? at[0]! - Math.log(at[0]!) : Number.NaN
      },
      [0.01],
      SEARCH,
    )
    expect(x[0]).toBeCloseTo(1, 6)
  })
})
