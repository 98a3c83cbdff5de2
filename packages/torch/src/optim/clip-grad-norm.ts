import { bind, hasOperator } from '../dispatch.js'
import type { Parameter } from '../nn/module.js'
import { add, clamp, div, full, mul, norm, stack, zeros } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'

const OP = {
  norm: bind('aten::_foreach_norm', 'Scalar'),
  mulTensor: bind('aten::_foreach_mul_', 'Tensor'),
  mulScalar: bind('aten::_foreach_mul_', 'Scalar'),
} as const

/** Euclidean norm over all gradients: float32 scalar on the device, no host copy. */
export function gradNorm(parameters: readonly Parameter[]): Tensor {
  return scope(() => {
    const gradients = parameters.flatMap((parameter) => parameter.grad ?? [])
    if (gradients.length === 0) return zeros([])
    return norm(stack(OP.norm(gradients, 2) as Tensor[]))
  })
}

/** Multiplies every gradient by a scalar tensor. Stays on the device where this LibTorch can. */
export function scaleGradients(parameters: readonly Parameter[], factor: Tensor | number): void {
  scope(() => {
    const gradients = parameters.flatMap((parameter) => parameter.grad ?? [])
    if (gradients.length === 0) return
    if (typeof factor === 'number') OP.mulScalar(gradients, factor)
    else if (hasOperator('aten::_foreach_mul_', 'Tensor')) OP.mulTensor(gradients, factor)
    else OP.mulScalar(gradients, factor.item())
  })
}

/**
 * Scales the gradients by `scale` and then clips their global norm, in one pass, as
 * clip_grad_norm_ does: factor = scale * min(1, maxNorm / (norm + 1e-6)).
 *
 * @returns float32 scalar on the device: the norm after `scale`, before clipping. Caller disposes.
 */
export function clipGradNorm(
  parameters: readonly Parameter[],
  maxNorm: number | undefined,
  { scale = 1 }: { scale?: number } = {},
): Tensor {
  return scope(() => {
    const total = mul(gradNorm(parameters), scale)
    if (maxNorm === undefined) {
      if (scale !== 1) scaleGradients(parameters, scale)
      return total
    }
    const limit = full([], maxNorm, { device: total.device })
    scaleGradients(parameters, mul(clamp(div(limit, add(total, 1e-6)), null, 1), scale))
    return total
  })
}
