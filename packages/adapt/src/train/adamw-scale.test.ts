import { nn, optim, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'

/**
 * How far AdamW moves along a fixed direction, in learning rates, while the gradient is `before` for long and `after` from
 * then on: rho = EMA_b1(g) / sqrt(EMA_b2(g^2)).
 */
function stepsAfterJump(
  { beta2, before, after }: { readonly beta2: number; readonly before: number; readonly after: number },
  numBefore: number,
  numAfter: number,
): number[] {
  const parameter = new nn.Parameter(tensor(Float64Array.of(0), [1], { dtype: 'float64' }))
  const adamw = new optim.AdamW([{ parameters: [parameter], weightDecay: 0 }], {
    learningRate: 1,
    beta1: 0.9,
    beta2,
  })
  const moves: number[] = []
  for (let n = 0; n < numBefore + numAfter; n++) {
    const last = parameter.toFloat64Array()[0]!
    scope(() => {
      parameter.grad = tensor(Float64Array.of(n < numBefore ? -before : -after), [1], { dtype: 'float64' })
      adamw.step()
    })
    if (n >= numBefore) moves.push(parameter.toFloat64Array()[0]! - last)
  }
  adamw.dispose()
  parameter.grad = undefined
  parameter.dispose()
  return moves
}

describe('a jump of the mean weight under AdamW', () => {
  it.each([
    [0.95, 500, { 1: 1.01865, 2: 1.033813, 5: 1.063711, 10: 1.081828, 20: 1.072162, 30: 1.050489 }],
    [0.999, 12_000, { 1: 1.049344, 10: 1.317489, 30: 1.45221 }],
  ])('lengthens the steps that follow (beta2 %d)', (beta2, numBefore, expected) => {
    const moves = stepsAfterJump({ beta2, before: 0.5, after: 0.75 }, numBefore, 30)
    for (const [step, rho] of Object.entries(expected)) expect(moves[Number(step) - 1]).toBeCloseTo(rho, 3)
  })

  it.each([
    [0.999, { 1: 1.270254, 10: 2.138262, 13: 2.16218, 50: 1.678147, 100: 1.378694 }, 2.16218, 71],
    [0.95, { 1: 0.623868, 10: 1.050792, 50: 1.035403 }, 1.102275, 0],
  ])('of 21 times at update 101, as at the end of a warm-up (beta2 %d)', (beta2, expected, peak, numAbove) => {
    const moves = stepsAfterJump({ beta2, before: 1, after: 21 }, 100, 100)
    for (const [step, factor] of Object.entries(expected)) {
      expect(moves[Number(step) - 1]).toBeCloseTo(factor, 5)
    }
    expect(Math.max(...moves)).toBeCloseTo(peak, 5)
    expect(moves.filter((move) => move > 1.5)).toHaveLength(numAbove)
  })
})
