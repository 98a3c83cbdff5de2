import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type MethodInput, resolveMethod } from '../catalog/index.js'
import { publishFolder } from '../checkpoint/index.js'
import type { RunConfig } from '../config/index.js'
import type { Artefact, ProxyResult, ProxyRun } from '../method/index.js'
import type { Ranks } from '../ranks.js'
import { currentEvents, readEvents, type StepRecord } from '../record/index.js'

/** Trains a config in its `output_dir` with an artefact, to a step, and leaves a checkpoint there; goes on where it was interrupted. */
export type TrainTo = (request: {
  readonly config: RunConfig
  readonly artefact: Artefact
  readonly stopAfterStep: number
}) => Promise<void>

/** What a proxy is made from. */
export interface ProxyContext {
  readonly config: RunConfig
  /** Optimiser steps of the main run. */
  readonly totalSteps: number
  /** Samples of the pool. */
  readonly numSamples: number
  /** Place among the anchors of the record of each sample that their files make as training data. */
  readonly anchorOfSample: readonly number[]
  readonly trainTo: TrainTo
  /** Folder of the model that an adapter of the proxy's own stands on. */
  readonly base?: string | undefined
  /** Those that train it; each makes the same call. */
  readonly ranks: Ranks
}

/**
 * Trains a proxy: a run of the same trainer in a folder of its own. The checkpoints that are asked for are kept beside it, with the moments
 * of the optimiser; its run folder is never finished, so that the same call goes on with it.
 */
export async function trainProxy(
  run: ProxyRun,
  folder: string,
  { config, totalSteps, numSamples, anchorOfSample, trainTo, base, ranks }: ProxyContext,
): Promise<ProxyResult & { readonly flops: number }> {
  const steps = Math.max(1, Math.round(run.steps * totalSteps))
  const runFolder = join(folder, 'run')
  const proxy = proxyConfig(config, run, { steps, runFolder, base })
  const places = run.data === 'anchors' ? anchorOfSample : Array.from({ length: numSamples }, (_, i) => i)
  const artefact: Artefact = {
    ...run.artefact,
    ...(run.keep ? { kept_P: Uint8Array.from(places, (place) => (run.keep!(place) ? 1 : 0)) } : {}),
    ...(run.shares ? { share_G: run.shares } : {}),
  }
  const stops = [...new Set((run.checkpointsAt ?? [1]).map((at) => Math.max(1, Math.round(at * steps))))]
  const keptAt = (step: number) => join(folder, `step-${step}`)
  for (const step of stops) {
    if (await ranks.fromFirst(() => existsSync(keptAt(step)))) continue
    await trainTo({ config: proxy, artefact, stopAfterStep: step })
    await ranks.fromFirst(() =>
      publishFolder(keptAt(step), (temporary) =>
        copyFolder(join(runFolder, 'checkpoints', `step-${step}`), temporary),
      ),
    )
  }
  return { checkpoints: checkpointsOf(runFolder, stops, keptAt), ...readProxy(runFolder, steps) }
}

/** The main run's config but for what a proxy has of its own. Nothing is evaluated, and nothing but checkpoints is written for others. */
export function proxyConfig(
  config: RunConfig,
  run: ProxyRun,
  {
    steps,
    runFolder,
    base,
  }: { readonly steps: number; readonly runFolder: string } & Pick<ProxyContext, 'base'>,
): RunConfig {
  const asWritten = typeof run.method === 'string' ? { preset: run.method } : run.method
  const method = resolveMethod(asWritten as MethodInput, (path, message) => {
    throw new RangeError(`proxy ${run.name}: method.${path.join('.')}: ${message}`)
  })
  const {
    num_train_epochs: _,
    early_stopping_patience: __,
    resume_from_checkpoint: ___,
    ema_decay: ____,
    ...training
  } = config.training
  return {
    ...config,
    model: proxyModel(config.model, run, base),
    ...(run.data === 'anchors' ? { data: anchorsAsData(config), anchors: [] } : {}),
    method,
    training: {
      ...(run.optimiser ? withPlainOptimiser(training, run.optimiser) : training),
      max_steps: steps,
      load_best_model_at_end: false,
      save_total_limit: 1,
    },
    evaluation: { ...config.evaluation, every_steps: 1_000_000_000, weights: 'raw', sets: [], tasks: [] },
    output_dir: runFolder,
  }
}

/** The anchors in the place of the training data, in the natural order of one set. */
function anchorsAsData({ data, anchors }: RunConfig): RunConfig['data'] {
  const { val_set_size: _, ...others } = data
  return { ...others, train: anchors, mixing: 'natural', packing: false }
}

function proxyModel(
  model: RunConfig['model'],
  run: Pick<ProxyRun, 'name' | 'model' | 'adapter'>,
  base: string | undefined,
): RunConfig['model'] {
  if (run.adapter !== undefined) {
    if (base === undefined)
      throw new RangeError(`proxy ${run.name}: an adapter of its own needs a model folder`)
    const { r, alpha, dropout, targetModules } = run.adapter
    const lora = {
      r,
      lora_alpha: alpha,
      lora_dropout: dropout,
      use_rslora: false,
      target_modules: [...targetModules],
    }
    const dtype = 'path' in model && model.dtype !== undefined ? { dtype: model.dtype } : {}
    return { path: base, ...dtype, lora }
  }
  if (run.model === undefined || run.model === 'same') return model
  return { init: 'scratch', preset: run.model.preset } as RunConfig['model']
}

function withPlainOptimiser(
  { warmup_ratio: _, warmup_steps: __, ...training }: Omit<RunConfig['training'], 'num_train_epochs'>,
  { learningRate, batchSize }: NonNullable<ProxyRun['optimiser']>,
) {
  return {
    ...training,
    learning_rate: learningRate,
    lr_scheduler_type: 'constant',
    weight_decay: 0,
    per_device_train_batch_size: batchSize,
    gradient_accumulation_steps: 1,
  } as const
}

function checkpointsOf(
  runFolder: string,
  stops: readonly number[],
  keptAt: (step: number) => string,
): ProxyResult['checkpoints'] {
  const steps = stepsOf(runFolder)
  return stops.map((stop, i) => {
    const part = steps.filter(({ step }) => step > (stops[i - 1] ?? 0) && step <= stop)
    const learningRate = part.reduce((sum, record) => sum + record.learningRate, 0) / Math.max(1, part.length)
    return { folder: keptAt(stop), learningRate }
  })
}

function stepsOf(runFolder: string): StepRecord[] {
  return currentEvents(readEvents(join(runFolder, 'events.jsonl')).events).filter(
    (event): event is StepRecord => event.type === 'step',
  )
}

/** What a run's own log says of its method, and what the run cost. */
function readProxy(runFolder: string, steps: number): Pick<ProxyResult, 'lastEvents'> & { flops: number } {
  const events = currentEvents(readEvents(join(runFolder, 'events.jsonl')).events)
  const lastEvents = new Map(
    events.map((event) => [event.type as string, event as unknown as Readonly<Record<string, unknown>>]),
  )
  const last = stepsOf(runFolder).at(-1)
  if (last === undefined || last.step < steps) throw new RangeError(`${runFolder}: expected ${steps} steps`)
  return { lastEvents, flops: last.flopsTrain + last.flopsSignal }
}

function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) copyFolder(join(from, entry.name), join(to, entry.name))
    else copyFileSync(join(from, entry.name), join(to, entry.name))
  }
}
