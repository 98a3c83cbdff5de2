import type { Device } from '../device.js'
import { type DType, isFloating } from '../dtype.js'
import { TorchError } from '../errors.js'
import { detach, toDevice, toDType } from '../ops.js'
import { scope } from '../scope.js'
import { Tensor } from '../tensor.js'

/** A trainable tensor. It belongs to no scope and lives until its module is disposed. */
export class Parameter extends Tensor {
  constructor(data: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}) {
    super(data.handle)
    this.persist()
    this.setRequiresGrad(requiresGrad)
  }
}

/**
 * Base class of layers and models. Fields that hold a Parameter, a Module or an array of Modules are found by
 * their names, so a parameter's name is its path (`model.layers.0.self_attn.q_proj.weight`): fields of models
 * carry the names of the Hugging Face checkpoint. `run` opens a scope around `forward`.
 */
export abstract class Module<Args extends unknown[] = [Tensor], Out = Tensor> {
  training = true

  /** What the layer computes. Call `run` instead where the temporaries should be freed. */
  abstract forward(...args: Args): Out

  /** forward in a scope of its own: temporaries are freed, what it returns moves to the caller's scope. */
  run(...args: Args): Out {
    return scope(() => this.forward(...args))
  }

  /** Modules in its fields and in arrays in its fields, with their names. */
  *children(): Generator<[string, Module<never, unknown>]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) yield [name, value]
      else if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) if (item instanceof Module) yield [`${name}.${i}`, item]
      }
    }
  }

  /** Names and parameters in field order; a tensor held twice (tied weights) appears once, under its first name. */
  *namedParameters(prefix = '', seen = new Set<number>()): Generator<[string, Parameter]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Parameter && !seen.has(value.handle)) {
        seen.add(value.handle)
        yield [prefix + name, value]
      }
    }
    for (const [name, child] of this.children()) yield* child.namedParameters(`${prefix}${name}.`, seen)
  }

  /** Every parameter once, in field order. */
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, parameter]) => parameter)
  }

  /** Number of elements of all parameters, trained or frozen. */
  get numParameters(): number {
    return this.parameters().reduce((total, parameter) => total + parameter.numel, 0)
  }

  /** The parameters that receive gradients, in field order. */
  trainableParameters(): Parameter[] {
    return this.parameters().filter((parameter) => parameter.requiresGrad)
  }

  /** Number of elements of the parameters that receive gradients. */
  get numTrainableParameters(): number {
    return this.trainableParameters().reduce((total, parameter) => total + parameter.numel, 0)
  }

  /** Switches this module and all below it to training, or to evaluation. Returns this. */
  train(training = true): this {
    this.training = training
    for (const [, child] of this.children()) child.train(training)
    return this
  }

  /** `train(false)`. */
  eval(): this {
    return this.train(false)
  }

  /**
   * Moves floating-point parameters to a device or dtype. The Parameter objects are new; the old ones are freed
   * with their gradients, so optimizers are made afterwards.
   */
  to({ device, dtype }: { device?: Device; dtype?: DType }): this {
    const moved = new Map<number, Parameter>()
    const replaced = this.parameters()
    this.replaceParameters((parameter) => {
      let next = moved.get(parameter.handle)
      if (next) return next
      const requiresGrad = parameter.requiresGrad
      next = new Parameter(
        scope(() => {
          let data: Tensor = parameter
          if (dtype && isFloating(data.dtype)) data = toDType(data, dtype)
          if (device) data = toDevice(data, device)
          return detached(data)
        }),
        { requiresGrad },
      )
      moved.set(parameter.handle, next)
      return next
    })
    for (const parameter of replaced) {
      parameter.grad = undefined
      parameter.dispose()
    }
    return this
  }

  private replaceParameters(replace: (parameter: Parameter) => Parameter): void {
    const fields = this as unknown as Record<string, unknown>
    for (const [name, value] of Object.entries(this))
      if (value instanceof Parameter) fields[name] = replace(value)
    for (const [, child] of this.children()) child.replaceParameters(replace)
  }

  /** Frees every parameter and its gradient. The module cannot be used afterwards. */
  dispose(): void {
    for (const parameter of this.parameters()) {
      parameter.grad = undefined
      parameter.dispose()
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Drops all gradients, so that the next backward writes rather than adds. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = undefined
  }
}

function detached(data: Tensor): Tensor {
  if (data.isDisposed) throw new TorchError('TENSOR_DISPOSED', 'a parameter was freed before it was moved')
  return detach(data)
}
