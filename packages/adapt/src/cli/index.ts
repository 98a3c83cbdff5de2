export { runCli } from './run-cli.js'
export type { CliIo, OutputStream, ProcessIo } from './terminal/cli-io.js'
export {
  createProgress,
  formatDuration,
  formatStep,
  type Progress,
  type ProgressOptions,
} from './terminal/progress.js'
export { reportError } from './terminal/report-error.js'
export { SafeStream, safeIo } from './terminal/safe-stream.js'
export { type Diagnosis, diagnose, renderDiagnosis } from './verbs/diagnose.js'
export { type QuickstartOptions, quickstartCommand } from './verbs/quickstart-command.js'
