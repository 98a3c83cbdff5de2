import { createHash } from 'node:crypto'
import { bind, noGrad, scope, stack, sum, type Tensor, toDType } from '@adapt-ts/torch'
import type { CausalLM } from '../model/index.js'

const vectorNorm = bind('aten::linalg_vector_norm')

/**
 * SHA-256 (hex) of three sums over each trained tensor: tells the weights of one moment of a run from those of another without a copy of them
 * to the host. Equal weights have equal keys where a device sums in a fixed order; else responses are asked again.
 */
export function weightsKey(model: CausalLM): string {
  const trained = model.trainableParameters()
  const sums = noGrad(() =>
    scope(() => {
      const values = trained.flatMap((tensor) => [
        vectorNorm(tensor, 1) as Tensor,
        vectorNorm(tensor, 2) as Tensor,
        sum(tensor),
      ])
      return stack(values.map((value) => toDType(value, 'float32'))).toFloat32Array()
    }),
  )
  return createHash('sha256').update(sums).digest('hex')
}
