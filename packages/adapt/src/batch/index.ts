export { type Batch, type BatchSample, IGNORED_LABEL } from './batch.js'
export { batchTokens, type TokenSequence } from './batch-tokens.js'
export { type BuildBatchOptions, buildBatch } from './build-batch.js'
export { type ChooseStart, excerptSamples } from './excerpt-samples.js'
export { type HeldOut, holdOut } from './hold-out.js'
export { type Layout, layOutPool, layOutRows, layOutSamples } from './lay-out.js'
export { likeLengths } from './like-lengths.js'
export { packSamples, type Row } from './pack-samples.js'
export { createPermutation, createStream, type PermutationKey, permuteIndex } from './permute-index.js'
export {
  type MixedDataset,
  type Mixing,
  mixingWarnings,
  planMixing,
  type SourceShare,
} from './plan-mixing.js'
export {
  FIRST_ROW,
  type OrderCursor,
  type RowCursor,
  readRowCursor,
  type SampleCursor,
  type SourceCursor,
} from './row-cursor.js'
export {
  createRowStream,
  type NextRows,
  type RowStep,
  type RowStream,
  type RowStreamOptions,
} from './row-stream.js'
export {
  createSampleStream,
  type SampleDraw,
  type SampleStream,
  type SampleStreamOptions,
} from './sample-stream.js'
export { selectSamples } from './select-samples.js'
export { createSourceStream, type SourceStream, type SourceStreamOptions } from './source-stream.js'
export { type GlobalBatchShape, splitGlobalBatch } from './split-global-batch.js'
