export { createMethod, type MethodContext, type MethodOptions } from './create-method.js'
export type { Method } from './method.js'
export * from './method-config.js'
export { needsScorePhase, planWeights, type SampleWeights, type WeightPlan } from './weight-plan.js'
