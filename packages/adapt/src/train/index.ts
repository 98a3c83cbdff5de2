export * from './flops.js'
export type { StepTotals } from './step-totals.js'
export { type TrainParts, type TrainStepOptions, trainStep } from './train-step.js'
export { type StepEvents, Trainer, type TrainerOptions, type TrainerState } from './trainer.js'
