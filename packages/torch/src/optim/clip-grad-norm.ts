import { bind, hasOperator } from '../dispatch.js'
import type { Parameter } from '../nn/module.js'
import { add, clamp, div, full, mul_, norm, stack, zeros } from '../ops.js'
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
    // On the device all the same: it is read together with other figures of the step.
    if (gradients.length === 0) return zeros([], { device: parameters[0]?.device ?? 'cpu' })
    return norm(stack(OP.norm(gradients, 2) as Tensor[]))
  })
}

/** Multiplies every gradient by a number or a scalar tensor, which stays on the device. */
export function scaleGradients(parameters: readonly Parameter[], factor: Tensor | number): void {
  scope(() => {
    const gradients = parameters.flatMap((parameter) => parameter.grad ?? [])
    if (gradients.length === 0) return
    if (typeof factor === 'number') OP.mulScalar(gradients, factor)
    else if (hasOperator('aten::_foreach_mul_', 'Tensor')) OP.mulTensor(gradients, factor)
    else for (const gradient of gradients) mul_(gradient, factor)
  })
}

/**
 * Scales the gradients by `scale` and then clips their global norm, as clip_grad_norm_ does:
 * factor = min(1, maxNorm / (norm + 1e-6)). The norm is taken of the scaled gradients, since those before may be out of its range.
 *
 * @returns float32 scalar on the device: the norm after `scale`, before clipping. Caller disposes.
 */
export function clipGradNorm(
  parameters: readonly Parameter[],
  maxNorm: number | undefined,
  { scale = 1 }: { scale?: number } = {},
): Tensor {
  return scope(() => {
    if (scale !== 1) scaleGradients(parameters, scale)
    const total = gradNorm(parameters)
    if (maxNorm === undefined) return total
    const limit = full([], maxNorm, { device: total.device })
    scaleGradients(parameters, clamp(div(limit, add(total, 1e-6)), null, 1))
    return total
  })
}
