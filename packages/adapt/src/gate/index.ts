export {
  type Calibration,
  countScores,
  NUM_SCORE_BINS,
  ScoreHistogram,
  solveMu,
  solveTau,
  tauFromSpread,
  unweightedScores,
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
