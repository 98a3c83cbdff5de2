export { createConstantSignal } from './constant-signal.js'
export { type GatheredRows, gatherInOrder } from './gather-in-order.js'
export { type ModelEmbeddingOptions, ModelEmbeddingSignal } from './model-embedding-signal.js'
export { type Pooling, type PoolingOptions, poolHidden } from './pool-hidden.js'
export { Reservoir } from './reservoir.js'
export {
  NO_STATE,
  type PluginState,
  type RefreshReport,
  type Signal,
  type SignalBatch,
  type SignalContext,
} from './signal.js'
export { dotRows, lengthOf, unitRows } from './unit-vectors.js'
