import { bind, noGrad, scope, stack, type Tensor, toDType } from '@adapt-ts/torch'
import { NumericError } from '../errors.js'
import type { Trainer } from '../train/index.js'

const vectorNorm = bind('aten::linalg_vector_norm')

/**
 * Refuses a state from which nothing could go on: what is trained, the moments, the averages and the method must be numbers all through.
 *
 * @param goodStep  Step of the newest checkpoint, for the message.
 * @throws {NumericError} STATE_NOT_FINITE (exit 4) with the name of the first tensor that is not.
 */
export function requireFiniteState(trainer: Trainer, goodStep: number | undefined): void {
  const name = firstNotFinite(trainer.ownTensors())
  if (name === undefined) return
  const kept =
    goodStep === undefined ? 'there is no checkpoint' : `the newest checkpoint is that of step ${goodStep}`
  throw new NumericError(
    'STATE_NOT_FINITE',
    `step ${trainer.step}: ${name} holds a value that is not finite, so this step was not saved; ${kept}: start anew with a lower learning_rate`,
    { tensor: name },
  )
}

/** One host copy for all: the largest magnitude of each tensor, which is NaN or infinite where one of its values is. */
function firstNotFinite(tensors: readonly (readonly [string, Tensor])[]): string | undefined {
  const present = tensors.filter(([, { dtype, numel }]) => numel > 0 && /^(b?float)/.test(dtype))
  if (present.length === 0) return undefined
  const magnitudes = noGrad(() =>
    scope(() => {
      const largest = present.map(([, tensor]) => toDType(vectorNorm(tensor, Infinity) as Tensor, 'float64'))
      return stack(largest).toFloat64Array()
    }),
  )
  const place = magnitudes.findIndex((value) => !Number.isFinite(value))
  return present[place]?.[0]
}
