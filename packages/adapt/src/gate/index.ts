export {
  type Calibration,
  ScoreHistogram,
  solveMu,
  solveTau,
  type WeightedScores,
} from './calibration.js'
export { CollapsedGate, type CollapsedGateOptions } from './collapsed-gate.js'
export { ControlGate } from './control-gate.js'
export {
  type CalibratedGateOptions,
  CalibratedSigmoidGate,
  createIdentityGate,
  createLinearGate,
  createSigmoidGate,
  createSoftmaxGate,
} from './gates.js'
export { ShuffledGate, type ShuffledGateOptions } from './shuffled-gate.js'
export { topFraction } from './top-fraction.js'
