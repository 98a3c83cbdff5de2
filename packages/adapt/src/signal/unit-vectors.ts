import { mul, norm, scope, sum, type Tensor } from '@adapt-ts/torch'

/** Euclidean length of a vector as a number. */
export function lengthOf(vector: Tensor): number {
  return scope(() => norm(vector).item())
}

/** Cosine of two vectors as a number; 0 when one has no length. */
export function cosineOf(a_D: Tensor, b_D: Tensor): number {
  return scope(() => sum(mul(a_D, b_D)).item() / Math.max(lengthOf(a_D) * lengthOf(b_D), 1e-12))
}
