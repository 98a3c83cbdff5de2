import { DataError } from '../errors.js'
import type { RunConfig } from './run-config.js'

/** Number of optimiser steps and how they fall on epochs. */
export interface StepPlan {
  readonly totalSteps: number
  readonly stepsPerEpoch: number
  readonly globalRows: number
  /** Rows of an epoch that are trained on. */
  readonly rowsPerEpoch: number
  /** The last rows of an epoch are dropped where they are no multiple of this; 1 keeps all. */
  readonly batchRows: number
}

/** Rows of one optimiser step. */
export function rowsPerStep({ training }: Pick<RunConfig, 'training'>): number {
  return training.per_device_train_batch_size * training.gradient_accumulation_steps
}

/**
 * The number of optimiser steps of a run, from `max_steps` or from epochs of so many rows. As in transformers' Trainer no step takes
 * rows of two epochs: the last one of an epoch has the rows that are left, with `dataloader_drop_last` only whole batches of
 * `per_device_train_batch_size`.
 * @throws {DataError} TOO_LITTLE_DATA when an epoch has no whole batch and the rest is dropped.
 */
export function planSteps(config: Pick<RunConfig, 'training'>, rowsPerEpoch: number): StepPlan {
  const { training } = config
  const globalRows = rowsPerStep(config)
  const batchRows = training.dataloader_drop_last ? training.per_device_train_batch_size : 1
  const kept = rowsPerEpoch - (rowsPerEpoch % batchRows)
  if (kept === 0) {
    throw new DataError(
      'TOO_LITTLE_DATA',
      `data.train: one epoch has ${rowsPerEpoch} rows, fewer than one batch of ${batchRows}; with dataloader_drop_last nothing would be trained`,
    )
  }
  const stepsPerEpoch = Math.ceil(kept / globalRows)
  const totalSteps =
    training.max_steps ?? Math.max(1, Math.ceil((training.num_train_epochs ?? 1) * stepsPerEpoch))
  return { totalSteps, stepsPerEpoch, globalRows, rowsPerEpoch: kept, batchRows }
}

/** Rows that a plan trains on, over all its steps. */
export function plannedRows({ totalSteps, stepsPerEpoch, globalRows, rowsPerEpoch }: StepPlan): number {
  const begun = Math.min(rowsPerEpoch, (totalSteps % stepsPerEpoch) * globalRows)
  return Math.floor(totalSteps / stepsPerEpoch) * rowsPerEpoch + begun
}
