export { describeAnchorOverlap } from './check-anchor-overlap.js'
export { describeTaskOverlap } from './check-task-overlap.js'
export {
  autocastDtype,
  type ChooseDeviceOptions,
  type ChosenDevice,
  chooseDevice,
  deviceOfRank,
  foretellDevice,
  HOW_TO_SWITCH,
  hasBf16,
  multipliesBf16,
} from './choose-device.js'
export { type ConfigInput, configInputs, requireInputsOutside, requireNoInput } from './config-inputs.js'
export { loadConfigOf, runOfModel } from './config-of-run.js'
export {
  type DeviceFacts,
  deviceFacts,
  machineHasNvidia,
} from './device-facts.js'
export { estimateRunTasks, type TasksEstimate } from './estimate-tasks.js'
export { type EvaluationRequest, evaluateModelFolder } from './evaluate-model-folder.js'
export { evaluateModelTasks, type TasksRequest } from './evaluate-model-tasks.js'
export {
  evaluationRemedies,
  explainMemory,
  loadingRemedies,
  trainingRemedies,
  withMemoryAdvice,
} from './explain-memory.js'
export { fetchModels } from './fetch-models.js'
export { findTaskOverlap, type TaskOverlap, type TaskOverlapOptions } from './find-task-overlap.js'
export { fingerprintModel } from './fingerprint-base.js'
export {
  loadModel,
  locateModel,
  type ModelPlaces,
  requireModelFolder,
  withTokenizer,
} from './locate-model.js'
export { type MergeRequest, mergeAdapter } from './merge-adapter.js'
export { type InputOptions, openInputs, type RunInputs } from './open-inputs.js'
export { baseModelName, openModel, trainsAdapter } from './open-model.js'
export { openNamedModel } from './open-named-model.js'
export { findRunTasks, openRunTasks, type RunTasks, runTaskPaths, taskSettingsOf } from './open-run-tasks.js'
export { type OpeningReport, openTrainingData, type TrainingData } from './open-training-data.js'
export { type OrderedData, orderData } from './order-data.js'
export { modelKeyOf, passLimits } from './pass-limits.js'
export { prepareAnchors } from './prepare-anchors.js'
export { headOf, type TaskSettings, writeTaskResults } from './task-settings.js'
