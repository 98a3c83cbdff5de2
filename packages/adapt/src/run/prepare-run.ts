import { createGate, partsOf, runFactsOf } from '../catalog/index.js'
import { asOneRank, planSteps } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { NO_ARTEFACT } from '../method/index.js'
import { orderData, type RunInputs } from '../open/index.js'
import { type Prepared, prepareSignal, selectPool, type TrainTo, trainProxy } from '../prepare/index.js'
import type { TrainingRequest } from './run-parts.js'
import type { StopRequest } from './stop-request.js'
import { aloneWorld, type World } from './world.js'

/** Between two lines on how far a proxy is. */
const LINE_MS = 2000

/** Who asks for the stop, and what is said of the run then. */
interface Stopping {
  readonly stop: StopRequest
  readonly goesOn: string
}

/**
 * What the method makes of the data before the order is drawn up: undefined for one that makes nothing. A pool that was scored is weighed
 * here, by the gate, all at once.
 *
 * @param train  Trains a request, for proxies.
 */
export async function prepareRun(
  request: TrainingRequest,
  inputs: RunInputs,
  { worldSize, stop, goesOn }: Stopping & Pick<World, 'worldSize'>,
  train: (request: TrainingRequest) => Promise<unknown>,
): Promise<Prepared | undefined> {
  const { baseDir, onLine } = request
  // Proxies are trained by one process, in the steps that the ranks make together.
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
  const prepared = await prepareSignal(signal, signalOptions, {
    config,
    baseDir,
    inputs,
    totalSteps,
    passes,
    onLine,
    checkStop: () => stop.throwIfRequested(goesOn),
    trainProxy: (run, folder, base) =>
      trainProxy(run, folder, {
        config,
        totalSteps,
        numSamples,
        anchorOfSample: inputs.anchorOfSample,
        base,
        trainTo: proxyTrainer(request, { stop, goesOn }, run.name, train),
      }),
  })
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

/** Trains proxies as part of a run: under its stop, with the parts that its code brings, and with lines of their own. */
function proxyTrainer(
  { baseDir, onLine, signals, gates }: TrainingRequest,
  { stop, goesOn }: Stopping,
  name: string,
  train: (request: TrainingRequest) => Promise<unknown>,
): TrainTo {
  let lastLine = 0
  return async ({ config, artefact, stopAfterStep }) => {
    const asked = {
      config,
      baseDir,
      artefact,
      stopAfterStep,
      overwrite: false,
      stop,
      // The other ranks wait for what it leaves.
      world: aloneWorld(),
      ...(signals ? { signals } : {}),
      ...(gates ? { gates } : {}),
      onLine: (line) => onLine(`${name}: ${line}`),
      onStep: ({ step, lossWeighted }, totalSteps) => {
        if (Date.now() - lastLine < LINE_MS && step < totalSteps) return
        lastLine = Date.now()
        onLine(`${name}: step ${step} of ${totalSteps}, loss ${lossWeighted.toFixed(4)}`)
      },
    } satisfies TrainingRequest
    try {
      await train(asked)
    } catch (error) {
      // What goes on is the run that this one is a part of.
      if (error instanceof AdaptError && error.code === 'INTERRUPTED') stop.throwIfRequested(goesOn)
      throw error
    }
  }
}
