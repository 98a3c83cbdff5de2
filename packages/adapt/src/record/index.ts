export { averageTasks, headlineFigures, type TaskAverage } from './average-tasks.js'
export { EventWriter } from './event-writer.js'
export { type LedgerPart, readLedger } from './ledger-reader.js'
export { LedgerSteps, type StepRows } from './ledger-steps.js'
export { type LedgerOptions, LedgerWriter } from './ledger-writer.js'
export { methodEvent } from './method-event.js'
export { currentEvents, currentSteps, type EventLog, readEvents } from './read-events.js'
export {
  type AlertEvent,
  type CalibrationEvent,
  type EvaluationEvent,
  type PolicyEvent,
  type PreparedEvent,
  type RefreshEvent,
  type RunEndEvent,
  type RunEvent,
  type RunStartEvent,
  type SourceEvaluation,
  shownFigure,
  type TaskFigure,
  type TasksEvent,
  taskFigureName,
  type ValidationFigures,
} from './run-event.js'
export { readSamples, type SampleEntry, writeSamples } from './samples-file.js'
export { type PoolScores, readScores, type ScoredSample, writeScores } from './scores-file.js'
export type { SampleRecord, StepRecord } from './step-record.js'
export { type TensorBoardOptions, TensorBoardWriter } from './tensorboard-writer.js'
export { truncateLedger } from './truncate-ledger.js'
export {
  moments,
  quantiles,
  type StepSampleStats,
  summarizeSamples,
  WEIGHT_PERCENTS,
  type WeightStats,
  weightStats,
} from './weight-stats.js'
