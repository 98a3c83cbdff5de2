export { renderReport } from './render-report.js'
export type { ReportEvaluation, ReportInput, ReportRun, ReportSample, RunAbout } from './report-run.js'
export type { ReportTasks, TaskAnswer } from './report-tasks.js'
export type { SampleWeight } from './sample-sums.js'
export {
  type LedgerRows,
  type LedgerSummary,
  type LedgerSummaryOptions,
  type SourceWeight,
  summarizeLedger,
} from './summarize-ledger.js'
export { renderTaskPage, type TaskPage } from './task-page.js'
export { writePage } from './write-page.js'
export { writeReport } from './write-report.js'
