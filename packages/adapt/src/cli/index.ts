export type { CliIo, OutputStream, ProcessIo } from './cli-io.js'
export { type Diagnosis, diagnose, renderDiagnosis } from './doctor.js'
export {
  createProgress,
  formatDuration,
  formatStep,
  type Progress,
  type ProgressOptions,
} from './progress.js'
export { type QuickstartOptions, quickstartCommand } from './quickstart-command.js'
export { reportError } from './report-error.js'
export { runCli } from './run-cli.js'
export { SafeStream, safeIo } from './safe-stream.js'
