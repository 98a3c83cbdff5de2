import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type MethodInput, resolveMethod } from '../catalog/index.js'
import { publishFolder } from '../checkpoint/index.js'
import type { RunConfig } from '../config/index.js'
import type { Artefact, ProxyResult, ProxyRun } from '../method/index.js'
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
  readonly trainTo: TrainTo
}

/**
 * Trains a proxy: a run of the same trainer in a folder of its own. The checkpoints that are asked for are kept beside it, with the moments
 * of the optimiser; its run folder is never finished, so that the same call goes on with it.
 */
export async function trainProxy(
  run: ProxyRun,
  folder: string,
  { config, totalSteps, numSamples, trainTo }: ProxyContext,
): Promise<ProxyResult & { readonly flops: number }> {
  const steps = Math.max(1, Math.round(run.steps * totalSteps))
  const runFolder = join(folder, 'run')
  const proxy = proxyConfig(config, run, steps, runFolder)
  const artefact: Artefact = {
    ...run.artefact,
    ...(run.keep
      ? { kept_P: Uint8Array.from({ length: numSamples }, (_, i) => (run.keep!(i) ? 1 : 0)) }
      : {}),
    ...(run.shares ? { share_G: run.shares } : {}),
  }
  const stops = [...new Set((run.checkpointsAt ?? [1]).map((at) => Math.max(1, Math.round(at * steps))))]
  const keptAt = (step: number) => join(folder, `step-${step}`)
  for (const step of stops) {
    if (existsSync(keptAt(step))) continue
    await trainTo({ config: proxy, artefact, stopAfterStep: step })
    publishFolder(keptAt(step), (temporary) =>
      copyFolder(join(runFolder, 'checkpoints', `step-${step}`), temporary),
    )
  }
  return { checkpoints: checkpointsOf(runFolder, stops, keptAt), ...readProxy(runFolder, steps) }
}

/** The main run's config but for what a proxy has of its own. Nothing is evaluated, and nothing but checkpoints is written for others. */
export function proxyConfig(config: RunConfig, run: ProxyRun, steps: number, runFolder: string): RunConfig {
  const asWritten = typeof run.method === 'string' ? { preset: run.method } : run.method
  const method = resolveMethod(asWritten as MethodInput, (path, message) => {
    throw new RangeError(`proxy ${run.name}: method.${path.join('.')}: ${message}`)
  })
  const {
    num_train_epochs: _,
    early_stopping_patience: __,
    resume_from_checkpoint: ___,
    ...training
  } = config.training
  return {
    ...config,
    ...(run.model === undefined || run.model === 'same'
      ? {}
      : { model: { init: 'scratch', preset: run.model.preset } as RunConfig['model'] }),
    method,
    training: {
      ...training,
      max_steps: steps,
      load_best_model_at_end: false,
      save_total_limit: 1,
    },
    evaluation: { ...config.evaluation, every_steps: 1_000_000_000, sets: [] },
    output_dir: runFolder,
  }
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
