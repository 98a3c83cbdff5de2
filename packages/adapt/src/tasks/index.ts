export type { AskOptions } from './ask-model.js'
export {
  type EvaluateTasksOptions,
  evaluateTasks,
  type GroupResult,
  type MetricResult,
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
export type { PreparedTask, PrepareTaskOptions } from './prepare-task.js'
export type { Group, Task } from './read-task-file.js'
export { ResponseStore, responseKey } from './response-store.js'
export { type ResultsHead, resultsJson, sampleJson, samplesFile } from './results-json.js'
export { taskFigures } from './task-figures.js'
