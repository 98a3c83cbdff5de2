import { randomUUID } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createGate, partsOf, runFactsOf } from '../catalog/index.js'
import { asOneRank, planSteps, resolveCacheDir, rowsPerStep } from '../config/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { AdaptError } from '../errors.js'
import { NO_ARTEFACT } from '../method/index.js'
import { orderData, type RunInputs } from '../open/index.js'
import { type Prepared, prepareSignal, selectPool, type TrainTo, trainProxy } from '../prepare/index.js'
import { ALONE, type Ranks } from '../ranks.js'
import type { StepRecord } from '../record/index.js'
import type { TrainingRequest } from './run-parts.js'
import type { StopRequest } from './stop-request.js'
import { aloneWorld, innerWorld, type World } from './world.js'

/** Between two lines on how far a proxy is. */
const LINE_MS = 2000

/** What a preparation is part of. */
interface Preparing {
  readonly world: World
  readonly stop: StopRequest
  /** What is said of the run when it is asked to stop. */
  readonly goesOn: string
  /** As the config says it to every rank. */
  readonly device: string
  /** Trains a request, for proxies. */
  readonly train: (request: TrainingRequest) => Promise<unknown>
}

/**
 * What the method makes of the data before the order is drawn up: undefined for one that makes nothing. A pool that was scored is weighed
 * here, by the gate, all at once.
 *
 * Ranks that see one cache prepare together; where they do not, each machine does it for itself.
 */
export async function prepareRun(
  request: TrainingRequest,
  inputs: RunInputs,
  preparing: Preparing,
): Promise<Prepared | undefined> {
  const { baseDir, onLine } = request
  const { world, stop, goesOn } = preparing
  const { worldSize } = world
  // Proxies are trained in the steps that the ranks make together.
  const config = asOneRank(request.config, worldSize)
  if (request.artefact !== undefined) {
    return { artefact: request.artefact, key: '', flops: 0, seconds: 0, warnings: [], isCached: true }
  }
  const { signal, signalOptions, apply, isStored, candidates } = partsOf(config.method)
  if (signal.prepare === undefined || signal.prepares?.(signalOptions) === false) return undefined
  const { rows } = orderData(config, inputs, NO_ARTEFACT)
  const rowsOf = (epoch: number) => rows.numRowsPerEpoch(epoch)
  const { totalSteps, stepsPerEpoch } = planSteps(request.config, rowsOf, candidates, worldSize)
  const { passes } = planSteps(request.config, rowsOf, 1, worldSize)
  const { numSamples } = inputs.train
  const prepareOn = (shared: Ranks) =>
    prepareSignal(signal, signalOptions, {
      ...{ config, baseDir, inputs, totalSteps, passes, onLine, ranks: shared },
      checkStop: () => {
        stop.throwIfRequested(goesOn)
        if (shared !== ALONE) world.requirePeers()
      },
      trainProxy: (run, folder, base, ranks) =>
        trainProxy(run, folder, {
          ...{ config, totalSteps, numSamples, anchorOfSample: inputs.anchorOfSample, base, ranks },
          trainTo: proxyTrainer(request, preparing, run.name, ranks),
        }),
    })
  const isShared =
    worldSize > 1 &&
    signal.preparesAlone !== true &&
    (await seeOneFolder(world, resolveCacheDir(config, baseDir)))
  const prepared = isShared ? await prepareOn(world) : await world.inTurn(() => prepareOn(ALONE))
  if (prepared === undefined || apply !== 'mask' || !isStored) return prepared
  const context = {
    totalSteps,
    stepsPerEpoch,
    isPlainText: inputs.isPlainText,
    seed: config.training.seed,
    dataset: inputs.train,
  }
  const gate = createGate(config.method, context)
  try {
    return { ...prepared, artefact: selectPool(gate, prepared.artefact, runFactsOf(context), inputs.train) }
  } finally {
    gate.dispose?.()
  }
}

/** Whether every rank sees what rank 0 writes into a folder. */
async function seeOneFolder(world: World, folder: string): Promise<boolean> {
  const name = await world.fromFirst(() => {
    const mark = `ranks-${randomUUID()}`
    makeFolder(folder)
    writeFileSync(join(folder, mark), '')
    return mark
  })
  const path = join(folder, name)
  const isSeenByAll = !world.any(!existsSync(path))
  if (world.isFirst) rmSync(path, { force: true })
  return isSeenByAll
}

/**
 * Trains proxies as part of a run: under its stop, with the parts that its code brings, and with lines of their own. Ranks train one together where they
 * can share its steps; else the first one does.
 */
function proxyTrainer(
  { baseDir, onLine, signals, gates }: TrainingRequest,
  { world, stop, goesOn, device, train }: Preparing,
  name: string,
  ranks: Ranks,
): TrainTo {
  let lastLine = 0
  return async ({ config, artefact, stopAfterStep }) => {
    const asked = {
      ...{ config, baseDir, artefact, stopAfterStep, stop },
      overwrite: false,
      ...(signals ? { signals } : {}),
      ...(gates ? { gates } : {}),
      onLine: (line: string) => onLine(`${name}: ${line}`),
      onStep: ({ step, lossWeighted }: StepRecord, totalSteps: number) => {
        world.requirePeers()
        if (Date.now() - lastLine < LINE_MS && step < totalSteps) return
        lastLine = Date.now()
        onLine(`${name}: step ${step} of ${totalSteps}, loss ${lossWeighted.toFixed(4)}`)
      },
    }
    const rowsOfStep = rowsPerStep(config, 1)
    const { training } = config
    // Several ranks drop other last rows than one.
    const isShared =
      rowsOfStep % (training.per_device_train_batch_size * ranks.worldSize) === 0 &&
      !training.dataloader_drop_last
    try {
      if (ranks.worldSize === 1) await train({ ...asked, world: aloneWorld() })
      else if (!isShared)
        await ranks.fromFirst(async () => void (await train({ ...asked, world: aloneWorld() })))
      else {
        const shared = { ...config, training: { ...training, device } }
        await train({ ...asked, config: shared, rowsOfStep, world: innerWorld(world) })
      }
    } catch (error) {
      // What goes on is the run that this one is a part of.
      if (error instanceof AdaptError && error.code === 'INTERRUPTED') stop.throwIfRequested(goesOn)
      throw error
    }
  }
}
