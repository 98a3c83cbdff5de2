export { checkMethod, type MethodProblem } from './check-method.js'
export {
  type CustomParts,
  createGate,
  createMethod,
  createSignal,
  type MethodContext,
  type PartFactory,
  runFactsOf,
} from './create-method.js'
export { describeMethod } from './describe-method.js'
export {
  type CostCard,
  cadenceOf,
  describeNeeds,
  EXAMPLE_RUN,
  type MethodCard,
  methodCard,
  type OptionCard,
  type PartCard,
  partCard,
} from './method-card.js'
export type { GateConfig, MethodConfig, MethodInput, MethodOptions, SignalConfig } from './method-config.js'
export {
  costOf,
  decidesData,
  type MethodParts,
  modelsRead,
  needsOf,
  partsOf,
  scoringFlops,
} from './method-parts.js'
export { type KnownInputs, type MissingNeed, missingNeeds, requireNeeds } from './missing-needs.js'
export {
  DEFAULT_METHOD,
  findMethod,
  GATES,
  type GateKind,
  type KnownGate,
  type KnownSignal,
  METHOD_IDS,
  METHODS,
  type MethodId,
  SIGNALS,
  type SignalKind,
} from './registry.js'
export { resolveMethod, resolveNormalizer } from './resolve-method.js'
