import { add, clamp, div, type Tensor } from '@adapt-ts/torch'
import { oneOf, real, usedWith } from '../method/option-table.js'

/** Beside the divisor. */
const EPS = 1e-8

/** Options of a difference of two losses. */
export const divideOptions = <const D extends 'loss' | 'none'>(fallback: D) => ({
  divide: oneOf(
    ['loss', 'none'],
    fallback,
    'Whether the difference is divided by the loss that it is taken from.',
  ),
  floor: usedWith(
    'divide: loss',
    ({ divide }) => divide === 'loss',
    real(
      { min: 0, max: 1e6 },
      0,
      'Least divisor, in nats: what is almost learnt already does not win by it.',
    ),
  ),
})

/** How a difference of losses is divided. */
export interface DivideOptions {
  readonly divide: 'loss' | 'none'
  readonly floor: number
}

/** d, or d / max(l, floor), for each unit: float32 [U]. Belongs to the current scope. */
export function divideDifference(
  difference_U: Tensor,
  loss: () => Tensor,
  { divide, floor }: DivideOptions,
): Tensor {
  return divide === 'none' ? difference_U : div(difference_U, add(clamp(loss(), floor, null), EPS))
}

/** The same of one number. */
export function dividedDifference(
  difference: number,
  loss: number,
  { divide, floor }: DivideOptions,
): number {
  return divide === 'none' ? difference : difference / (Math.max(loss, floor) + EPS)
}
