export {
  AGGREGATES,
  type Aggregate,
  type AggregateOptions,
  aggregateScores,
  scorerOf,
  scoreUnits,
  taskScores,
  Z_RANGE,
} from './aggregate-scores.js'
export { anchorDiagnostics, type DiagnosticsInput } from './anchor-diagnostics.js'
export { AnchorDirection, anchorDirection } from './anchor-direction.js'
export { AnchorScorer, type AnchorScorerOptions } from './anchor-scorer.js'
export { embedBatches, unitVectors } from './anchor-similarity.js'
export { type AnchorTasks, anchorTasks, asOneTask, taskCentroids } from './anchor-tasks.js'
export { type ScoreTextsOptions, scoreTexts, type TextSource } from './bm25/score-texts.js'
export { constantSignal, createConstantSignal } from './constant-signal.js'
export { contrastive } from './contrastive.js'
export { cosineProducts } from './cosine-products.js'
export { customSignal } from './custom-signal.js'
export {
  type Demonstration,
  demonstrationsOf,
  inContext,
  isSame,
  nearestPlaces,
  samplesOf,
} from './demonstrations.js'
export {
  type DivideOptions,
  divideDifference,
  dividedDifference,
  divideOptions,
} from './divide-difference.js'
export { type NgramOptions, weighByNgrams } from './dsir/ngram-importance.js'
export { MAX_MODULUS } from './dsir/sha256-remainder.js'
export { countTokens } from './embed-anchors.js'
export { excessLoss, reducibleLoss } from './excess-loss.js'
export { frozenEmbedding } from './frozen-embedding.js'
export { cutSamples, frozenLosses, frozenStates, sampleBatches } from './frozen-losses.js'
export { KeptNumbers } from './kept-numbers.js'
export { lossFall } from './loss-fall.js'
export { lossSignal } from './loss-signal.js'
export { modelEmbedding } from './model-embedding.js'
export type { ModelEmbeddingOptions } from './model-embedding-options.js'
export { ModelEmbeddingSignal } from './model-embedding-signal.js'
export {
  centerRows,
  eachSquaredDistances,
  type Neighbours,
  nearestNeighbours,
  smallestPlaces,
  type UnitVectors,
} from './nearest-neighbours.js'
export { type Pooling, type PoolingOptions, poolHidden } from './pool-hidden.js'
export { quotaPlaces } from './quota-places.js'
export { createRandomSignal, keyedNormal, randomSignal } from './random-signal.js'
export { midRanks, separationAuc, spearman } from './rank-statistics.js'
export { REFRESH_KINDS, type RefreshKind, type RefreshReason } from './refresh-schedule.js'
export { POOLING_OPTIONS, representation } from './representation.js'
export { Reservoir } from './reservoir.js'
export { roundRobinPlaces } from './round-robin.js'
export { gradientProducts } from './sample-gradients.js'
export { sampleKeys } from './sample-keys.js'
export { createSourceSignal, type SourceSignalOptions, sourceSignal } from './source-signal.js'
export { createStoredSignal } from './stored-signal.js'
export { TaskMoments } from './task-moments.js'
export { queryDocuments, textEmbedding } from './text-embedding.js'
export { tokenLikelihood, tokenMass } from './token-likelihood.js'
export {
  kernelDensities,
  nearDensity,
  type TransportOptions,
  type TransportProbabilities,
  transportProbabilities,
} from './transport.js'
export { cosineOf, lengthOf } from './unit-vectors.js'
export { updateAlignment } from './update-alignment.js'
export { betweenSources, type HalfScores, sourceFigures } from './within-sources.js'
