export { needsScoringForward } from './apply-loss.js'
export { composeMethod } from './compose-method.js'
export type { Composition } from './composition.js'
export {
  type Apply,
  type DataFacts,
  type Evidence,
  type Gate,
  type Life,
  type LinearFactors,
  type MethodEvent,
  type Needs,
  NO_STATE,
  type OptimizerView,
  type PluginState,
  type Rescoring,
  type RunFacts,
  type ScoredPool,
  type Scores,
  type Signal,
  type StepDivisor,
  type StepFacts,
  type StepOutcome,
  type StepTools,
  type StoredScores,
  type Trust,
  type Unit,
} from './contract.js'
export {
  defineGate,
  defineMethod,
  defineSignal,
  type GateDefinition,
  type MethodCost,
  type MethodDefinition,
  type OptionProblem,
  type RunShape,
  type SignalDefinition,
} from './define-method.js'
export { DeviceNumbers } from './device-numbers.js'
export { createEvidence, type EvidenceParts, lookAt, withReference } from './evidence.js'
export { type GatheredRows, gatherInOrder } from './gather-in-order.js'
export { linearFactors } from './linear-factors.js'
export type { MethodConfig as ResolvedMethod, PartConfig } from './method-config.js'
export { type CamelCaseKeys, toCamelCase, toSnakeCase } from './option-names.js'
export {
  fillOptions,
  flag,
  type Option,
  type OptionsOf,
  type OptionTable,
  oneOf,
  option,
  real,
  SCORE,
  STEPS,
  steps,
  usedWith,
  whole,
} from './option-table.js'
export type { DroppedSample, Method, PoolProgress, WeightPlan, Weights } from './plan-step.js'
export {
  type AdamMoments,
  type Artefact,
  NO_ARTEFACT,
  type PreparationTools,
  type ProxyResult,
  type ProxyRun,
  type TextTokenizer,
  type TokenStatistic,
} from './preparation.js'
export { affordableShare, isDrawn, partOf, SCORED, scoredShare, shapeOf } from './scored-share.js'
export { scoresOf } from './step-scores.js'
