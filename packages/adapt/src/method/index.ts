export {
  type CustomParts,
  createGate,
  createMethod,
  type MethodContext,
  type MethodOptions,
  type PartFactory,
} from './create-method.js'
export type { Method } from './method.js'
export * from './method-config.js'
export { type CamelCaseKeys, toCamelCase } from './option-names.js'
export { needsScorePhase, planWeights, type SampleWeights, type WeightPlan } from './weight-plan.js'
