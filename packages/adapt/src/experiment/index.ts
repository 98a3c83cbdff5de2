export { autocastDtype, buildModel, buildTrainer, planSteps, type StepPlan } from './build-trainer.js'
export { type EvaluationRequest, evaluateModelFolder } from './evaluate-model-folder.js'
export { type PreparedData, prepareData } from './prepare-data.js'
export { describeMethod, toReportRun, writeRunReport } from './run-report.js'
export { runTraining, type TrainingOutcome, type TrainingRequest } from './run-training.js'
export {
  rankCorrelation,
  type SourceFigures,
  type WeightDifferences,
  type WeightFigures,
} from './weight-comparison.js'
export { deriveWhatIf, type WhatIf, type WhatIfRequest } from './what-if.js'
