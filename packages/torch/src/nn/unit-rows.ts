/** N rows, D width. */
import { noGrad } from '../autograd.js'
import { bind } from '../dispatch.js'
import { clamp, div, mul, norm, sub, sum } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'
import { hasOwnKernel } from './own-kernels.js'

// Ours, of the add-on.
const ownUnitRows = bind('adapt::unit_rows')
const ownDotRows = bind('adapt::dot_rows')
const LEAST_LENGTH = 1e-8

/**
 * (x - m) / max(|x - m|, 1e-8) for every row of x, without gradient. In the current scope.
 * @param x_ND float32 [N, D]. @param mean_D float32 [D]; absent: nothing is subtracted.
 */
export function unitRows(x_ND: Tensor, mean_D?: Tensor): Tensor {
  return noGrad(() => {
    if (hasOwnKernel('adapt::unit_rows', x_ND.device) && x_ND.dtype === 'float32')
      return ownUnitRows(x_ND, mean_D, LEAST_LENGTH) as Tensor
    return scope(() => {
      const centred_ND = mean_D ? sub(x_ND, mean_D) : x_ND
      return div(centred_ND, clamp(norm(centred_ND, -1, true), LEAST_LENGTH, null))
    })
  })
}

/** <row, vector> for every row, without gradient: [N, D] and [D] or [1, D] -> [N]. In the current scope. */
export function dotRows(x_ND: Tensor, vector_D: Tensor): Tensor {
  return noGrad(() => {
    const isOwn = x_ND.dtype === 'float32' && vector_D.dtype === 'float32' && x_ND.shape.length === 2
    if (isOwn && hasOwnKernel('adapt::dot_rows', x_ND.device)) return ownDotRows(x_ND, vector_D) as Tensor
    return scope(() => sum(mul(x_ND, vector_D), -1))
  })
}
