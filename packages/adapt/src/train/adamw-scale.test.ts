import { nn, optim, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'

/**
 * How far AdamW moves along a fixed direction, in learning rates, while the mean weight of the loss is 0.5 for
 * long and 0.75 from then on: rho = EMA_b1(w) / sqrt(EMA_b2(w^2)).
 */
function stepsAfterJump(beta2: number, numBefore: number, numAfter: number): number[] {
  const parameter = new nn.Parameter(tensor([0], [1]))
  const adamw = new optim.AdamW([{ parameters: [parameter], weightDecay: 0 }], {
    learningRate: 1,
    beta1: 0.9,
    beta2,
  })
  const moves: number[] = []
  for (let n = 0; n < numBefore + numAfter; n++) {
    const before = parameter.toFloat64Array()[0]!
    scope(() => {
      parameter.grad = tensor([n < numBefore ? -0.5 : -0.75], [1])
      adamw.step()
    })
    if (n >= numBefore) moves.push(parameter.toFloat64Array()[0]! - before)
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
    const moves = stepsAfterJump(beta2, numBefore, 30)
    for (const [step, rho] of Object.entries(expected)) expect(moves[Number(step) - 1]).toBeCloseTo(rho, 3)
  })
})
