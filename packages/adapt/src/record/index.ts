export { crc32 } from './crc32.js'
export { decodeEvent, encodeEvent } from './event-codec.js'
export { EventWriter } from './event-writer.js'
export { currentEvents, currentSteps, type EventLog, readEvents } from './read-events.js'
export type {
  AlertEvent,
  CalibrationEvent,
  EvaluationEvent,
  RefreshEvent,
  RunEndEvent,
  RunEvent,
  RunStartEvent,
  SourceEvaluation,
} from './run-event.js'
export type { SampleRecord, StepRecord } from './step-record.js'
export {
  moments,
  quantiles,
  type StepSampleStats,
  summarizeSamples,
  WEIGHT_PERCENTS,
  type WeightStats,
  weightStats,
} from './weight-stats.js'
