import { DataError } from '../errors.js'
import type { RunConfig } from './run-config.js'

/** Number of optimiser steps and how they fall on epochs. */
export interface StepPlan {
  readonly totalSteps: number
  readonly stepsPerEpoch: number
  readonly globalRows: number
  /** Steps may take rows of two epochs; otherwise the last step of an epoch is shorter. */
  readonly crossEpochs: boolean
}

/** Rows of one optimiser step. */
export function rowsPerStep({ training }: Pick<RunConfig, 'training'>): number {
  return training.per_device_train_batch_size * training.gradient_accumulation_steps
}

/**
 * The number of optimiser steps of a run, from `max_steps` or from epochs of so many rows.
 * @throws {DataError} TOO_LITTLE_DATA when an epoch has no whole step and the rest is dropped.
 */
export function planSteps(config: Pick<RunConfig, 'training'>, rowsPerEpoch: number): StepPlan {
  const { training } = config
  const globalRows = rowsPerStep(config)
  const stepsPerEpoch = training.dataloader_drop_last
    ? Math.floor(rowsPerEpoch / globalRows)
    : Math.ceil(rowsPerEpoch / globalRows)
  if (stepsPerEpoch === 0) {
    throw new DataError(
      'TOO_LITTLE_DATA',
      `data.train: one epoch has ${rowsPerEpoch} rows, fewer than one optimiser step of ${globalRows}; with dataloader_drop_last nothing would be trained`,
    )
  }
  if (training.max_steps !== undefined) {
    return { totalSteps: training.max_steps, stepsPerEpoch, globalRows, crossEpochs: true }
  }
  const totalSteps = Math.max(1, Math.ceil((training.num_train_epochs ?? 1) * stepsPerEpoch))
  return { totalSteps, stepsPerEpoch, globalRows, crossEpochs: false }
}
