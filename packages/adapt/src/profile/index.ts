export type { RecordedStep, TimedEvent } from './call-tree.js'
export { chromeTrace } from './chrome-trace.js'
export { StepRecorder } from './step-recorder.js'
export {
  type OperatorShare,
  type PartShare,
  type ProfileSummary,
  summariseProfile,
  type TimeShare,
} from './summarise-profile.js'
export type { TimeKind } from './time-kinds.js'
