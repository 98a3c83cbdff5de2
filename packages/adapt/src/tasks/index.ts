export type { AskOptions } from './ask-model.js'
export {
  type EncodedTask,
  type EvaluateTasksOptions,
  type ExpectedFigure,
  encodeTasks,
  evaluateTasks,
  type GroupResult,
  type MetricResult,
  metricsOfSelection,
  positionsOfTasks,
  prepareTasks,
  type SampleResult,
  type TaskEvaluation,
  type TaskResult,
} from './evaluate-tasks.js'
export {
  type FindTasksOptions,
  findTasks,
  listTasks,
  type SelectedGroup,
  type TaskSelection,
} from './find-tasks.js'
export { fingerprintTasks } from './fingerprint-tasks.js'
export { answerCalls, endCalls } from './help-asking.js'
export type { PreparedTask, PrepareTaskOptions } from './prepare-task.js'
export type { Group, Task } from './read-task-file.js'
export { ResponseStore, responseKey } from './response-store.js'
export { type ResultsHead, resultsJson, sampleJson, samplesFile } from './results-json.js'
export { localPaths } from './task-documents.js'
export { taskFigures } from './task-figures.js'
