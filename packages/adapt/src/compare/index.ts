export type { CellRecord, RunCost, TrunkRecord } from './cell-record.js'
export {
  type ArmMeasure,
  type ComparedArm,
  type Comparison,
  compareCells,
  type Measure,
} from './compare-cells.js'
export { renderComparisonPage, writeComparisonReport } from './comparison-report.js'
export { comparisonTables } from './comparison-tables.js'
export { type LoadStudyOptions, loadStudy, type Study } from './load-study.js'
export { planCells } from './plan-cells.js'
export { renderCsv, renderJson, renderMarkdown } from './render-comparison.js'
export {
  type CellStart,
  type CellState,
  type ComparisonOutcome,
  type ComparisonRequest,
  type FailedCell,
  runComparison,
  type TrainFunction,
} from './run-comparison.js'
export { type ArmConfig, type StudyConfig, studyJsonSchema } from './study-schema.js'
export type { TextTable } from './text-table.js'
