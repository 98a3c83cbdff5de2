export { applyRotary, Embedding, Linear, RMSNorm, RotaryTable } from './layers.js'
export { type CheckpointedPass, runCheckpointed, type Segment } from './checkpoint.js'
export { Module, Parameter } from './module.js'
