import { type Device, defaultDevice } from '../device.js'
import type { DType } from '../dtype.js'
import { empty, full } from '../ops.js'
import { Parameter } from './module.js'

/** How layers make their parameters. */
export interface ParameterDefaults {
  /** Floating-point dtype. Default float32. */
  readonly dtype?: DType | undefined
  /** Default cpu. */
  readonly device?: Device | undefined
  /** Default true; false for weights that stay as they are. */
  readonly requiresGrad?: boolean | undefined
  /** false leaves the memory untouched, for a caller that writes every element of every parameter. Default true. */
  readonly fill?: boolean | undefined
}

let current: ParameterDefaults = {}

/**
 * Runs `make` so that every layer made inside has parameters of these defaults: a model is born in its dtype and never
 * held twice. Calls nest; what an inner one does not say holds from the outer one.
 * @example const model = withParameterDefaults({ dtype: 'bfloat16', fill: false }, () => new CausalLM(config))
 */
export function withParameterDefaults<T>(defaults: ParameterDefaults, make: () => T): T {
  const outer = current
  const said = Object.entries(defaults).filter(([, value]) => value !== undefined)
  current = { ...outer, ...Object.fromEntries(said) }
  try {
    return make()
  } finally {
    current = outer
  }
}

/** A parameter of this shape, every element `value` unless the defaults in force say otherwise. */
export function createParameter(shape: readonly number[], value: number): Parameter {
  const { dtype = 'float32', device = defaultDevice(), requiresGrad = true, fill = true } = current
  const options = { dtype, device }
  return new Parameter(fill ? full(shape, value, options) : empty(shape, options), { requiresGrad })
}
