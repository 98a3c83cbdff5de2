export type { CliIo, OutputStream } from './cli-io.js'
export { type Diagnosis, diagnose, renderDiagnosis } from './doctor.js'
export type {
  EvaluationOutcome,
  EvaluationRequest,
  TrainingOutcome,
  TrainingRequest,
} from './experiment-api.js'
export {
  createProgress,
  formatDuration,
  formatStep,
  type Progress,
  type ProgressOptions,
} from './progress.js'
export { runCli } from './run-cli.js'
