export { toReportRun } from './describe-run.js'
export { type ReadRunOptions, readReportRun } from './read-report-run.js'
export { parseTaskSample, readTaskSamples, type TaskSample, tasksFolder } from './read-task-samples.js'
export { writeRunReport } from './run-report.js'
