/** S samples of a step. */
import { type Tensor, tensor } from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'
import type { Scores } from '../method/index.js'
import { readTogether } from '../method/read-together.js'

/** What samples are worth and do to each other, on the host. */
export interface Interplay {
  readonly score_S: Float32Array
  /** Row by row. */
  readonly products_SS: Float32Array
  /** Whether all of it is a number: of a step where it is not nothing may be made. */
  readonly isKnown: boolean
}

/** Scores and products of a step, read at once. @throws {AdaptError} NOT_NAMED without products: a bug of the composition. */
export function readInterplay(kind: string, { score, interactions }: Scores): Interplay {
  if (interactions === undefined) {
    throw new AdaptError(
      'NOT_NAMED',
      EXIT.bug,
      `gate ${kind}: expected products of the samples, received none`,
    )
  }
  const [score_S, products_SS] = readTogether([score, interactions]) as [Float32Array, Float32Array]
  return { score_S, products_SS, isKnown: score_S.every(isNumber) && products_SS.every(Number.isFinite) }
}

/** Minus infinity stands for a sample that may not be taken. */
const isNumber = (score: number): boolean => !Number.isNaN(score) && score < Infinity

/** Weights of the host beside the scores: float32 [S]. */
export function weightsBeside({ score }: Scores, weight_S: ArrayLike<number>): Tensor {
  return tensor(Float32Array.from(weight_S), [score.numel], { device: score.device })
}

/** w = 1 for the samples at these places, else 0. */
export function markPlaces({ score }: Scores, places: readonly number[]): Tensor {
  const weight_S = new Float32Array(score.numel)
  for (const place of places) weight_S[place] = 1
  return tensor(weight_S, [score.numel], { device: score.device })
}
