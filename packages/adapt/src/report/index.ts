export { renderReport } from './render-report.js'
export type { ReportEvaluation, ReportInput, ReportRun, ReportSample, RunAbout } from './report-run.js'
export {
  type LedgerRows,
  type LedgerSummary,
  type LedgerSummaryOptions,
  type SampleWeight,
  type SourceWeight,
  summarizeLedger,
} from './summarize-ledger.js'
export { writeReport } from './write-report.js'
