export { AdamW, type AdamWOptions, decayGroups, type ParameterGroup } from './adamw.js'
export { clipGradNorm, gradNorm, scaleGradients } from './clip-grad-norm.js'
export { ExponentialMovingAverage } from './exponential-moving-average.js'
export { type ScheduleKind, type ScheduleOptions, scheduleFactor } from './schedule.js'
