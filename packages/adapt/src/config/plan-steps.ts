import { DataError } from '../errors.js'
import type { RunConfig } from './run-config.js'

/** Number of optimiser steps and how they fall on epochs. */
export interface StepPlan {
  readonly totalSteps: number
  readonly stepsPerEpoch: number
  /** Rows that are trained in a step. */
  readonly globalRows: number
  /** Rows that are drawn for a step: more, where the method trains on some of them only. */
  readonly drawnRows: number
  /** Rows of an epoch that are drawn. */
  readonly rowsPerEpoch: number
  /** The last rows of an epoch are not drawn where they are no multiple of this; 1 keeps all. */
  readonly batchRows: number
  /** How often the data is read over all steps; of later epochs of a run by `max_steps` the first is an estimate. */
  readonly passes: number
}

/** Rows that are trained in one optimiser step, over all ranks. */
export function rowsPerStep({ training }: Pick<RunConfig, 'training'>, worldSize = 1): number {
  return training.per_device_train_batch_size * training.gradient_accumulation_steps * worldSize
}

/** The config of one process whose steps are those that so many ranks make of this one together: it accumulates what they share. */
export function asOneRank(config: RunConfig, worldSize: number): RunConfig {
  if (worldSize === 1) return config
  const { training } = config
  const steps = training.gradient_accumulation_steps * worldSize
  return { ...config, training: { ...training, gradient_accumulation_steps: steps } }
}

/**
 * The number of optimiser steps of a run, from `max_steps` or from the epochs themselves, whose rows differ a little when samples are packed. As in transformers' Trainer no step takes
 * rows of two epochs: the last one of an epoch has the rows that are left, with `dataloader_drop_last` only whole batches of
 * `per_device_train_batch_size`.
 * @param rowsOf  Rows of an epoch, from 0.
 * @param candidates  Rows drawn for each row that is trained, >= 1.
 * @param worldSize  Ranks that share a step; with `dataloader_drop_last` each gets whole batches.
 * @throws {DataError} TOO_LITTLE_DATA when an epoch has no whole batch and the rest is dropped.
 */
export function planSteps(
  config: Pick<RunConfig, 'training'>,
  rowsOf: (epoch: number) => number,
  candidates = 1,
  worldSize = 1,
): StepPlan {
  const { training } = config
  const globalRows = rowsPerStep(config, worldSize)
  const drawnRows = Math.round(globalRows * candidates)
  const batchRows = training.dataloader_drop_last
    ? Math.round(training.per_device_train_batch_size * worldSize * candidates)
    : 1
  const keptOf = (epoch: number) => rowsOf(epoch) - (rowsOf(epoch) % batchRows)
  const rowsPerEpoch = keptOf(0)
  if (rowsPerEpoch === 0) {
    throw new DataError(
      'TOO_LITTLE_DATA',
      `data.train: one epoch has ${rowsOf(0)} rows, fewer than one batch of ${batchRows}; with dataloader_drop_last nothing would be trained`,
    )
  }
  /** The first steps of an epoch, and the share of its rows that they take. */
  const begin = (epoch: number, numSteps = Infinity) => ({
    steps: Math.min(numSteps, Math.ceil(keptOf(epoch) / drawnRows)),
    passes: Math.min(numSteps * drawnRows, keptOf(epoch)) / rowsOf(epoch),
  })
  const first = begin(0)
  const plan = { stepsPerEpoch: first.steps, globalRows, drawnRows, rowsPerEpoch, batchRows }
  if (training.max_steps !== undefined) {
    const numWhole = Math.floor(training.max_steps / first.steps)
    const passes = numWhole * first.passes + begin(0, training.max_steps % first.steps).passes
    return { ...plan, totalSteps: training.max_steps, passes }
  }
  const { num_train_epochs: numEpochs = 1 } = training
  const numWhole = Math.floor(numEpochs)
  const parts = Array.from({ length: numWhole }, (_, epoch) => begin(epoch))
  if (numEpochs > numWhole) {
    const { steps } = begin(numWhole)
    // Rounded as a whole: 2.7 - 2 is a little more than 0.7, and its ceiling a step too many.
    parts.push(begin(numWhole, Math.ceil(numEpochs * steps) - numWhole * steps))
  }
  const sum = (of: 'steps' | 'passes') => parts.reduce((total, part) => total + part[of], 0)
  return { ...plan, totalSteps: Math.max(1, sum('steps')), passes: sum('passes') }
}
