export * from './anchors/index.js'
export * from './batch/index.js'
export * from './checkpoint/index.js'
export * from './compare/index.js'
export * from './config/index.js'
export * from './contamination/index.js'
export * from './dataset/index.js'
export * from './errors.js'
export * from './estimate/index.js'
export * from './eval/index.js'
export * from './gate/index.js'
export * from './generate/index.js'
export * from './loss/index.js'
export * from './method/index.js'
export { type Artefact, NO_ARTEFACT } from './method/preparation.js'
export * from './model/index.js'
export {
  autocastDtype,
  buildModel,
  type ConfigInput,
  configInputs,
  type EvaluationRequest,
  evaluateModelFolder,
  type InputOptions,
  locateModel,
  type MergeRequest,
  type ModelPlaces,
  mergeAdapter,
  type OpeningReport,
  type OrderedData,
  openInputs,
  openModel,
  openTrainingData,
  orderData,
  type RunInputs,
  requireNoInput,
  type TrainingData,
  withTokenizer,
} from './open/index.js'
export * from './record/index.js'
export * from './report/index.js'
export {
  type BestEvaluation,
  buildTrainer,
  runTraining,
  type TrainHooks,
  type TrainingOutcome,
  type TrainingRequest,
  train,
} from './run/index.js'
export { TensorBoardLog, tensorboardFolder } from './run-folder/index.js'
export * from './run-report/index.js'
export * from './signal/index.js'
export * from './statistics/index.js'
export * from './tokenize/index.js'
export * from './train/index.js'
export * from './what-if/index.js'
