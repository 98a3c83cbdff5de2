import { parseDevice } from './device.js'
import { type DType, scalarTypeOf } from './dtype.js'
import { rethrow, TorchError } from './errors.js'
import { engine } from './native.js'
import { Tensor } from './tensor.js'

function writeHandles(lists: readonly (readonly (Tensor | undefined)[])[]): void {
  const { buffer } = engine()
  let position = 0
  for (const list of lists) for (const item of list) buffer[position++] = item ? item.handle : -1
}

/**
 * Accumulates gradients of `outputs` into the leaves' `.grad` (or only those of `inputs`).
 * @param gradients One per output, same shape; may be left out for scalar outputs.
 */
export function backward(
  outputs: readonly Tensor[],
  gradients: readonly (Tensor | undefined)[] = [],
  { retainGraph = false, inputs = [] }: { retainGraph?: boolean; inputs?: readonly Tensor[] } = {},
): void {
  writeHandles([outputs, gradients, inputs])
  try {
    engine().native.backward(outputs.length, gradients.length, inputs.length, retainGraph)
  } catch (error) {
    rethrow(error, 'backward', { shapes: outputs.map(String) })
  }
}

/** Gradients of `outputs` with respect to `inputs`, without touching `.grad`; undefined where unused. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradients: readonly (Tensor | undefined)[] = [],
  { retainGraph = false, allowUnused = false } = {},
): (Tensor | undefined)[] {
  writeHandles([outputs, gradients, inputs])
  const { native, buffer } = engine()
  try {
    const count = native.grad(outputs.length, gradients.length, inputs.length, retainGraph, allowUnused)
    return Array.from(buffer.subarray(0, count), (handle) => (handle < 0 ? undefined : new Tensor(handle)))
  } catch (error) {
    return rethrow(error, 'grad', { shapes: outputs.map(String) })
  }
}

/**
 * Frees `x` after its last use in a forward. What backward needs of it is computed again when a gradient reaches one of
 * `readers`, the same to the bit. That is so for results of `nn.RMSNorm` and `nn.swiglu` where a kernel of the add-on made
 * them; others stay as long as backward needs them.
 *
 * @param x  Its handle is freed, and nothing else that shares its memory may be read any more.
 * @param readers  Everything that was computed from it and leads to a loss.
 */
export function recomputeInBackward(x: Tensor, readers: readonly Tensor[]): void {
  writeHandles([readers])
  try {
    engine().native.recomputeInBackward(x.handle, readers.length)
  } catch (error) {
    rethrow(error, 'recomputeInBackward')
  }
  x.dispose()
}

function withGradMode<T>(enabled: boolean, name: string, fn: () => T): T {
  const { native } = engine()
  const previous = native.setGradMode(enabled)
  try {
    return synchronous(name, fn())
  } finally {
    native.setGradMode(previous)
  }
}

/** Grad mode and autocast belong to the thread, so code after an `await` would run in the wrong mode. */
function synchronous<T>(name: string, result: T): T {
  if (!(result instanceof Promise)) return result
  result.catch(() => {})
  throw new TorchError('SCOPE_ASYNC', `${name}: the callback returned a promise; it must be synchronous`)
}

/** Runs `fn` without recording for backward. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode(false, 'noGrad', fn)
}

/** Runs `fn` with recording, also inside `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode(true, 'enableGrad', fn)
}

const autocastStack: string[] = []

/** Whether the code runs inside `autocast`. */
export function autocastActive(): boolean {
  return autocastStack.length > 0
}

/**
 * Runs `fn` with matrix products in `dtype`, as torch.autocast. Weights cast inside are cached until the
 * outermost region ends. Keep backward outside.
 *
 * @throws {TorchError} AUTOCAST_NESTING for a region of another device or dtype inside; SCOPE_ASYNC for a promise.
 */
export function autocast<T>(device: string, dtype: DType | undefined, fn: () => T): T {
  if (dtype === undefined || (dtype === 'float32' && autocastStack.length === 0)) return fn()
  const { native } = engine()
  const { type } = parseDevice(device)
  const scalarType = scalarTypeOf(dtype)
  const outer = autocastStack[autocastStack.length - 1]
  if (outer !== undefined && outer !== `${type}:${scalarType}`) {
    throw new TorchError('AUTOCAST_NESTING', 'autocast: nested regions must have the same device and dtype')
  }
  try {
    native.beginAutocast(type, scalarType)
  } catch (error) {
    rethrow(error, `autocast(${device}, ${dtype})`)
  }
  autocastStack.push(`${type}:${scalarType}`)
  try {
    return synchronous('autocast', fn())
  } finally {
    autocastStack.pop()
    native.endAutocast(type, scalarType, autocastStack.length > 0)
  }
}
