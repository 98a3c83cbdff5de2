export {
  type Calibration,
  ScoreHistogram,
  solveMu,
  solveTau,
  type WeightedScores,
} from './calibration.js'
export type { Gate } from './gate.js'
export {
  type CalibratedGateOptions,
  CalibratedSigmoidGate,
  createIdentityGate,
  createSigmoidGate,
  createSoftmaxGate,
} from './gates.js'
