export type { BestEvaluation } from './best-model.js'
export { autocastDtype, buildModel } from './build-model.js'
export { buildTrainer } from './build-trainer.js'
export { type ConfigInput, configInputs, requireNoInput } from './config-inputs.js'
export { describeMethod, toReportRun } from './describe-run.js'
export { type EvaluationRequest, evaluateModelFolder } from './evaluate-model-folder.js'
export { findContamination, type OverlapTable } from './find-contamination.js'
export {
  type AnchorInspection,
  type AnchorInspectionRequest,
  inspectAnchors,
  type PlacedAnchor,
  type SourceScores,
} from './inspect-anchors.js'
export { type MergeRequest, mergeAdapter } from './merge-adapter.js'
export { locateModel, type ModelPlaces, openModel, withTokenizer } from './open-model.js'
export { type PreparedData, prepareData } from './prepare-data.js'
export { type ReadRunOptions, readReportRun } from './read-report-run.js'
export { writeRunReport } from './run-report.js'
export { runTraining, type TrainingOutcome, type TrainingRequest } from './run-training.js'
export { TensorBoardLog, tensorboardFolder } from './tensorboard-log.js'
export { type TrainHooks, train } from './train.js'
export type {
  SourceFigures,
  WeightDifferences,
  WeightFigures,
} from './weight-comparison.js'
export { deriveWhatIf, type WhatIf, type WhatIfRequest } from './what-if.js'
