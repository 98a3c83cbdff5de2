import { backward, enableGrad, noGrad } from '../autograd.js'
import { TorchError } from '../errors.js'
import { detach } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'

/** One piece of a network: a function of one tensor whose parameters receive gradients. */
export type Segment = (input: Tensor) => Tensor

/** A forward whose inner activations are gone, and the way back through it. */
export interface CheckpointedPass {
  /** Output of the last segment, detached. */
  readonly output: Tensor
  /**
   * Recomputes segment by segment from the last to the first; returns the gradient of the first input, undefined
   * when that takes part in no gradient (a frozen embedding).
   */
  backward(gradient: Tensor): Tensor | undefined
}

/**
 * Activation checkpointing: the forward keeps only each segment's input, backward recomputes one segment at a
 * time. Gradients equal those of the plain pass bit for bit as long as a segment is a pure function of its input
 * (`wrap` restores the surroundings of the forward, for instance autocast, during the recomputation).
 */
export function runCheckpointed(
  segments: readonly Segment[],
  input: Tensor,
  wrap: <T>(fn: () => T) => T = (fn) => fn(),
): CheckpointedPass {
  const inputs: Tensor[] = []
  const needsInputGradient = input.requiresGrad
  let x = detach(input)
  for (const segment of segments) {
    inputs.push(x)
    x = noGrad(() => wrap(() => scope(() => segment(x))))
  }
  return {
    output: x,
    backward(gradient) {
      let downstream: Tensor | undefined = gradient
      for (let i = segments.length - 1; i >= 0; i--) {
        downstream = scope(() => {
          const isWanted = i > 0 || needsInputGradient
          const leaf = detach(inputs[i]!).setRequiresGrad(isWanted)
          const output = enableGrad(() => wrap(() => scope(() => segments[i]!(leaf))))
          // The first segment may be frozen as a whole: there is nothing to take back.
          if (!output.requiresGrad) return undefined
          backward([output], [downstream!])
          const result = leaf.grad
          if (!result && isWanted)
            throw new TorchError('NO_GRADIENT', `segment ${i} does not depend on its input`)
          leaf.grad = undefined
          return result
        })
        inputs[i]!.dispose()
      }
      return downstream
    },
  }
}
