export { type CheckpointedPass, runCheckpointed, type Segment } from './checkpoint.js'
export { applyRotary, Embedding, Linear, RMSNorm, RotaryTable, swiglu } from './layers.js'
export { Module, Parameter } from './module.js'
export { createParameter, type ParameterDefaults, withParameterDefaults } from './parameter-defaults.js'
