import { rethrow, TorchError } from './errors.js'
import { engine } from './native.js'
import { Tensor } from './tensor.js'

/** Tensors reachable from a value: a tensor, or arrays, maps and plain objects of them. */
function collectHandles(value: unknown, handles: number[]): void {
  if (value instanceof Tensor) handles.push(value.handle)
  else if (Array.isArray(value)) for (const item of value) collectHandles(item, handles)
  else if (value instanceof Map) for (const item of value.values()) collectHandles(item, handles)
  else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) collectHandles(item, handles)
  }
}

function endScope(depth: number, kept: readonly number[]): void {
  const { native, buffer } = engine()
  const fits = kept.length <= buffer.length
  if (fits) buffer.set(kept)
  try {
    native.endScope(depth, fits ? kept.length : 0)
  } catch (error) {
    rethrow(error, 'scope')
  }
  if (!fits) throw new TorchError('BUFFER_TOO_SMALL', 'a scope returned too many tensors')
}

/**
 * Runs `fn` and frees every tensor made inside, except those it returns (in arrays, maps or plain objects too):
 * they move to the enclosing scope. Autograd keeps what backward needs, so freeing handles in a forward is safe.
 *
 * @throws {TorchError} SCOPE_ASYNC when `fn` returns a promise: scopes of interleaved code would mix.
 */
export function scope<T>(fn: () => T): T {
  const depth = engine().native.beginScope()
  const kept: number[] = []
  try {
    const result = fn()
    if (result instanceof Promise) {
      result.catch(() => {})
      throw new TorchError(
        'SCOPE_ASYNC',
        'scope: the callback returned a promise; a scope must be synchronous',
      )
    }
    collectHandles(result, kept)
    return result
  } catch (error) {
    kept.length = 0
    throw error
  } finally {
    endScope(depth, kept)
  }
}

/** A scope for `using s = openScope()`; `s.keep(tensor)` lets a tensor outlive it. */
export class Scope {
  private readonly depth = engine().native.beginScope()
  private readonly kept: number[] = []

  /** Moves the tensors of `value` to the enclosing scope when this one ends; returns `value`. */
  keep<T>(value: T): T {
    collectHandles(value, this.kept)
    return value
  }

  [Symbol.dispose](): void {
    endScope(this.depth, this.kept)
  }
}

/** A scope that ends with the block: `using s = openScope()`. Scopes must end in the reverse order of their start. */
export function openScope(): Scope {
  return new Scope()
}
