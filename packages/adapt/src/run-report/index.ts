export { toReportRun } from './describe-run.js'
export { type ReadRunOptions, readReportRun } from './read-report-run.js'
export { writeRunReport } from './run-report.js'
