export * from './flops.js'
export type { Sharding } from './gradient-exchange.js'
export { ModelOptimizer, type ModelOptimizerOptions, type OptimizerState } from './model-optimizer.js'
export type { StepTotals } from './step-totals.js'
export { type TrainParts, type TrainStepOptions, trainStep } from './train-step.js'
export {
  type StepEvents,
  Trainer,
  type TrainerOptions,
  type TrainerState,
  type TrainerTensors,
} from './trainer.js'
