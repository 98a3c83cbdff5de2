export { type BandOptions, band, bandWeights, FOCUSES } from './band.js'
export { calibratedSigmoidGate } from './calibrated-sigmoid-gate.js'
export {
  type Calibration,
  ScoreHistogram,
  solveMu,
  solveTau,
  type WeightedScores,
} from './calibration.js'
export { CollapsedGate, type CollapsedGateOptions } from './collapsed-gate.js'
export { ControlGate } from './control-gate.js'
export { customGate } from './custom-gate.js'
export { dataflexGate } from './dataflex-gate.js'
export {
  type DrawSchedule,
  drawnPool,
  drawSchedule,
  POOL_DRAW_OPTIONS,
  type PoolDrawOptions,
  poolPasses,
  scoredPart,
} from './draw-schedule.js'
export { createDrawingGate, type PoolWeights, type ScoredPart } from './drawing-gate.js'
export { expGate } from './exp-gate.js'
export {
  contractionBound,
  type FixedPoint,
  type FixedPointOptions,
  fixedPoint,
  fixedPointWeights,
} from './fixed-point.js'
export {
  type CalibratedGateOptions,
  CalibratedSigmoidGate,
  createIdentityGate,
  createLinearGate,
  createSigmoidGate,
  createSoftmaxGate,
} from './gates.js'
export { identityGate } from './identity-gate.js'
export { linearGate } from './linear-gate.js'
export { minMaxGate, runningMinMaxGate } from './min-max-gate.js'
export { minMaxSoftmax } from './min-max-softmax.js'
export { nnls, nonNegativeWeights } from './nnls.js'
export { proportionalDraw } from './proportional-draw.js'
export { ShuffledGate, type ShuffledGateOptions } from './shuffled-gate.js'
export { sigmoidGate } from './sigmoid-gate.js'
export { softmaxGate } from './softmax-gate.js'
export { type DrawOptions, keyedGumbel, pickAtRandom, stochasticGreedy } from './stochastic-greedy.js'
export { thresholdGate } from './threshold-gate.js'
export { topFraction } from './top-fraction.js'
export { type WindowPlace, window, windowPlace, windowWeights } from './window.js'
