export { renderReport } from './render-report.js'
export type { ReportEvaluation, ReportInput, ReportRun, ReportSample } from './report-run.js'
export { writeReport } from './write-report.js'
