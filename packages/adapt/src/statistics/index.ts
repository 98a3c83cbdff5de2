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
export { detectableEffect, noncentralTCdf, studentTCdf, studentTQuantile } from './student-t.js'
