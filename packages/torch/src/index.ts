export type { Argument } from './argument-encoder.js'
export * from './autograd.js'
export type { Device } from './device.js'
export * from './devices.js'
export {
  bind,
  hasKernel,
  hasOperator,
  type KeywordArguments,
  type Operator,
  ops,
  type Result,
} from './dispatch.js'
export type { Collective } from './distributed/index.js'
export * as distributed from './distributed/index.js'
export { type DType, isDType, isFloating, itemBytes } from './dtype.js'
export { TorchError } from './errors.js'
export { Generator, manualSeed } from './generator.js'
export type { MemoryStats } from './native.js'
export * as nn from './nn/index.js'
export { prefersOnednnLinear } from './onednn-linear.js'
export * from './ops.js'
export * as optim from './optim/index.js'
export * from './profiler.js'
export * from './safetensors.js'
export { openScope, Scope, scope } from './scope.js'
export * from './stop-signals.js'
export * from './system.js'
export { Tensor, type TypedArray } from './tensor.js'
