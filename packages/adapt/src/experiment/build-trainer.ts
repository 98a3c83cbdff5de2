import { type DType, setNumThreads } from '@adapt-ts/torch'
import type { RunConfig } from '../config/index.js'
import { ConfigError, DataError } from '../errors.js'
import { createMethod, type Method } from '../method/index.js'
import { Trainer } from '../train/index.js'
import { autocastDtype, buildModel } from './build-model.js'
import type { PreparedData } from './prepare-data.js'

/** Number of optimiser steps and how they fall on epochs. */
export interface StepPlan {
  readonly totalSteps: number
  readonly stepsPerEpoch: number
  readonly globalRows: number
  /** Steps may take rows of two epochs; otherwise the last step of an epoch is shorter. */
  readonly crossEpochs: boolean
}

/**
 * The number of optimiser steps of a run, from `max_steps` or from epochs.
 * @throws {DataError} TOO_LITTLE_DATA when an epoch has no whole step and the rest is dropped.
 */
export function planSteps(config: RunConfig, data: PreparedData): StepPlan {
  const { training } = config
  const globalRows = training.per_device_train_batch_size * training.gradient_accumulation_steps
  const numRows = data.rows.numRowsPerEpoch(0)
  const drop = training.dataloader_drop_last
  const stepsPerEpoch = drop ? Math.floor(numRows / globalRows) : Math.ceil(numRows / globalRows)
  if (stepsPerEpoch === 0) {
    throw new DataError(
      'TOO_LITTLE_DATA',
      `data.train: one epoch has ${numRows} rows, fewer than one optimiser step of ${globalRows}; with dataloader_drop_last nothing would be trained`,
    )
  }
  if (training.max_steps !== undefined) {
    return { totalSteps: training.max_steps, stepsPerEpoch, globalRows, crossEpochs: true }
  }
  const totalSteps = Math.max(1, Math.ceil((training.num_train_epochs ?? 1) * stepsPerEpoch))
  return { totalSteps, stepsPerEpoch, globalRows, crossEpochs: false }
}

/** What a run trains with. */
export interface BuiltTrainer {
  readonly trainer: Trainer
  readonly method: Method
  readonly dtype: DType | undefined
}

/**
 * Model, method and optimiser of a config. Caller disposes the trainer, then its model.
 * @param modelFolder  Holds what was trained so far: a checkpoint.
 * @throws {ConfigError} SEQUENCE_TOO_LONG, BAD_MODEL_CONFIG, and what loading a model folder throws.
 */
export function buildTrainer(
  config: RunConfig,
  baseDir: string,
  data: PreparedData,
  plan: StepPlan,
  modelFolder?: string,
): BuiltTrainer {
  const { training } = config
  if (training.threads !== undefined) setNumThreads(training.threads)
  const dtype = autocastDtype(training.bf16)
  const model = buildModel(config, baseDir, data.tokenizer, modelFolder)
  if (config.data.max_length > model.config.maxPositionEmbeddings) {
    model.dispose()
    throw new ConfigError(
      'SEQUENCE_TOO_LONG',
      `data.max_length: ${config.data.max_length} is more than the model's max_position_embeddings (${model.config.maxPositionEmbeddings})`,
    )
  }
  const method = createMethod(config.method, {
    ...plan,
    isPlainText: data.isPlainText,
    seed: training.seed,
    dataset: data.train,
  })
  const trainer = new Trainer(model, method, data.anchors, {
    totalSteps: plan.totalSteps,
    learningRate: training.learning_rate,
    schedule: training.lr_scheduler_type,
    warmupSteps: training.warmup_steps ?? Math.ceil((training.warmup_ratio ?? 0) * plan.totalSteps),
    decaySteps: Math.round(training.decay_ratio * plan.totalSteps),
    minLearningRateRatio: training.min_lr_ratio,
    weightDecay: training.weight_decay,
    adamBeta1: training.adam_beta1,
    adamBeta2: training.adam_beta2,
    adamEpsilon: training.adam_epsilon,
    maxGradNorm: training.max_grad_norm,
    autocastDtype: dtype,
    gradientCheckpointing: training.gradient_checkpointing,
    lossChunkSize: training.loss_chunk_size,
    globalRows: plan.globalRows,
    maxLength: config.data.max_length,
    seed: training.seed,
  })
  return { trainer, method, dtype }
}
