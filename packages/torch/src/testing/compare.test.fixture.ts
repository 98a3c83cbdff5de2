import { type Result, Tensor, TorchError } from '../index.js'

/** Elements of a tensor (or of a result that must be one) as plain numbers. */
export function valuesOf(result: Result): number[] {
  if (!(result instanceof Tensor)) throw new Error(`expected a tensor, received ${String(result)}`)
  return Array.from(result.toFloat64Array())
}

/** |actual - expected| / |expected|, Euclidean norms over the whole tensor; infinite when sizes differ. */
export function relativeError(actual: Result, expected: Result): number {
  const a = valuesOf(actual)
  const b = valuesOf(expected)
  if ((actual as Tensor).shape.join() !== (expected as Tensor).shape.join()) return Infinity
  let difference = 0
  let size = 0
  for (const [i, value] of b.entries()) {
    difference += (a[i]! - value) ** 2
    size += value ** 2
  }
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE))
}

/** What `action` throws; fails when it throws nothing or something other than an error of the engine. */
export function torchErrorOf(action: () => unknown): TorchError {
  try {
    action()
  } catch (error) {
    if (error instanceof TorchError) return error
    throw new Error(`expected a TorchError, received ${String(error)}`, { cause: error })
  }
  throw new Error('expected an error, none was thrown')
}

export function codeOf(action: () => unknown): string {
  return torchErrorOf(action).code
}
