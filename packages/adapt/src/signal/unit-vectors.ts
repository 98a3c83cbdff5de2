import { mul, noGrad, norm, scope, sum, type Tensor } from '@adapt-ts/torch'

/** <row, vector> for every row: [N, D] and [D] or [1, D] -> [N]. */
export function dotRows(rows_ND: Tensor, vector_D: Tensor): Tensor {
  return noGrad(() => scope(() => sum(mul(rows_ND, vector_D), -1)))
}

/** Euclidean length of a vector as a number. */
export function lengthOf(vector: Tensor): number {
  return scope(() => norm(vector).item())
}

/** Cosine of two vectors as a number; 0 when one has no length. */
export function cosineOf(a_D: Tensor, b_D: Tensor): number {
  return scope(() => dotRows(a_D, b_D).item() / Math.max(lengthOf(a_D) * lengthOf(b_D), 1e-12))
}
