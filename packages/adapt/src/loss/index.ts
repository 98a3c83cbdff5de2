export {
  type ChunkedLoss,
  type ChunkedLossOptions,
  chunkedCrossEntropy,
  chunkedTokenLosses,
  chunkedTokenMasses,
} from './chunked-cross-entropy.js'
export { defaultChunkSize } from './default-chunk-size.js'
export { type LabelledPositions, labelledPositions } from './labelled-positions.js'
export { meanBySample } from './mean-by-sample.js'
export {
  denominator,
  NORMALIZERS,
  type Normalizer,
  tokenFactor,
  type WeightedSample,
} from './normalizer.js'
export { sampleMeans } from './sample-means.js'
