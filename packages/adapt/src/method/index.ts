export { createMethod, type MethodContext } from './create-method.js'
export type { Method } from './method.js'
export { planWeights, type SampleWeights, type WeightPlan } from './weight-plan.js'
export * from './method-config.js'
