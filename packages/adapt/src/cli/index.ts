export { runCli } from './run-cli.js'
export { type CliIo, safeIo } from './terminal/cli-io.js'
export type { OutputStream, ProcessIo } from './terminal/process-io.js'
export {
  createProgress,
  formatDuration,
  formatStep,
  type Progress,
  type ProgressOptions,
} from './terminal/progress.js'
export { reportError } from './terminal/report-error.js'
export { SafeStream } from './terminal/safe-stream.js'
export { type Diagnosis, diagnose, renderDiagnosis } from './verbs/diagnose.js'
export { type ProfileOptions, profileCommand } from './verbs/profile-command.js'
export { type QuickstartOptions, quickstartCommand } from './verbs/quickstart-command.js'
