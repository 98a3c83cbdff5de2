export { averageParts, type Part } from './average-parts.js'
export { type BoostedTrees, type BoostingOptions, fitBoostedTrees, type HeldOut } from './boosted-trees.js'
export { cholesky, choleskySolve } from './cholesky.js'
export { drawDirichlet } from './dirichlet.js'
export { leastSquares } from './least-squares.js'
export { type McNemar, mcNemar } from './mcnemar.js'
export { type Minimum, minimise, type Objective } from './minimise.js'
export {
  judge,
  MAX_FLIPPED,
  type NoiseFloor,
  noiseFloor,
  type PairedSummary,
  signFlipP,
  summarizePairs,
  type Verdict,
} from './paired-differences.js'
export {
  aucInterval,
  type Interval,
  normalQuantile,
  randomAucHalfWidth,
  spearmanInterval,
} from './rank-intervals.js'
export { smoothSavitzkyGolay } from './savitzky-golay.js'
export { detectableEffect, noncentralTCdf, studentTCdf, studentTQuantile } from './student-t.js'
