import { type Collective, type DType, distributed, setNumThreads } from '@adapt-ts/torch'
import { layOutPool, layOutSamples } from '../batch/index.js'
import { createMethod, type MethodContext } from '../catalog/index.js'
import type { RunConfig, StepPlan } from '../config/index.js'
import { ConfigError } from '../errors.js'
import type { Method } from '../method/index.js'
import type { OrderedData } from '../open/index.js'
import { autocastDtype, chooseDevice, openModel } from '../open/index.js'
import { Trainer } from '../train/index.js'
import { runLayout } from './run-layout.js'

/** What a run trains with. */
export interface BuiltTrainer {
  readonly trainer: Trainer
  readonly method: Method
  readonly dtype: DType | undefined
}

/** What a trainer is made from besides its config and data. */
export interface BuildOptions extends Pick<MethodContext, 'signals' | 'gates'> {
  /** Holds what was trained so far: a checkpoint. */
  readonly modelFolder?: string
  /** Of the ranks that train together; default: one process. */
  readonly collective?: Collective
}

/**
 * Model, method and optimiser of a config. Caller disposes the trainer, then its model.
 * @throws {ConfigError} NEEDS_CODE, NO_ANCHORS, SEQUENCE_TOO_LONG, BAD_MODEL_CONFIG, and what loading a model folder throws.
 */
export function buildTrainer(
  config: RunConfig,
  baseDir: string,
  data: OrderedData,
  plan: StepPlan,
  { modelFolder, collective = distributed.singleProcess, ...parts }: BuildOptions = {},
): BuiltTrainer {
  const { training } = config
  if (training.threads !== undefined) setNumThreads(training.threads)
  const dtype = autocastDtype(training.bf16, chooseDevice(training.device).device)
  const method = createMethod(config.method, {
    ...plan,
    isPlainText: data.isPlainText,
    seed: training.seed,
    dataset: data.train,
    mixing: data.mixing,
    layout: {
      accumulation: training.gradient_accumulation_steps,
      worldSize: collective.worldSize,
    },
    artefact: data.artefact,
    ...parts,
  })
  if (method.needs.anchors === true && data.anchors.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: the signal compares samples with anchors, but none are given',
    )
  }
  const model = openModel(config, baseDir, data.tokenizer, modelFolder)
  if (config.data.max_length > model.config.maxPositionEmbeddings) {
    model.dispose()
    throw new ConfigError(
      'SEQUENCE_TOO_LONG',
      `data.max_length: ${config.data.max_length} is more than the model's max_position_embeddings (${model.config.maxPositionEmbeddings})`,
    )
  }
  const layout = runLayout(config, data, collective)
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
    emaDecay: training.ema_decay,
    maxGradNorm: training.max_grad_norm,
    autocastDtype: dtype,
    gradientCheckpointing: training.gradient_checkpointing,
    ...(training.loss_chunk_size === 'auto' ? {} : { lossChunkSize: training.loss_chunk_size }),
    seed: training.seed,
    collective,
    shardedOptimizer: training.sharded_optimizer === 'auto' ? 'auto' : 'off',
    layOut: (samples) => layOutSamples(samples, layout),
    layOutPool: (samples) => layOutPool(samples, layout),
  })
  return { trainer, method, dtype }
}
