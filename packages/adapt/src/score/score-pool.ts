/** P samples of the pool, G sources. */
import { join } from 'node:path'
import { setNumThreads } from '@adapt-ts/torch'
import {
  createRowStream,
  layOutRows,
  layOutSamples,
  planMixing,
  type Row,
  type RowStream,
} from '../batch/index.js'
import {
  cadenceOf,
  createGate,
  createMethod,
  METHODS,
  type MethodContext,
  type MethodParts,
  partsOf,
} from '../catalog/index.js'
import { planSteps, type RunConfig, resolveCacheDir } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import {
  autocastDtype,
  fingerprintModel,
  locateModel,
  type OrderedData,
  openNamedModel,
  orderData,
  type RunInputs,
} from '../open/index.js'
import { artefactKey, ChunkStore, type Prepared } from '../prepare/index.js'
import type { PoolScores } from '../record/index.js'
import { runLayout } from '../run/run-layout.js'
import { packageVersion } from '../version.js'
import { BLIND, type Eyes, eyesOf } from './eyes.js'
import { firstDraw } from './first-draw.js'
import { FrozenSteps, type WeighedSample } from './frozen-steps.js'

/** Steps from which a method learns its means, histograms and shares before it is asked for weights. */
const SETTLING_STEPS = 60
/** Steps whose results are stored together. */
const STEPS_PER_CHUNK = 16

/** What is scored, and with what. */
export interface PoolRequest {
  readonly config: RunConfig
  readonly baseDir: string
  readonly inputs: RunInputs
  /** What the method's preparation left. */
  readonly prepared: Prepared | undefined
  /** Model folder, run or checkpoint; default: the model of the config. */
  readonly model: string | undefined
  readonly onLine: (line: string) => void
  readonly onProgress: (done: number, total: number) => void
  /** Throws when the command was asked to stop. */
  readonly checkStop: () => void
}

/** Scores and weights of the whole pool. */
export async function scorePool(request: PoolRequest): Promise<PoolScores> {
  const { config, inputs, prepared } = request
  const artefact = prepared?.artefact ?? {}
  const data = orderData(config, inputs, artefact)
  const P = inputs.train.numSamples
  const all: PoolScores = {
    score_P: artefact.score_P?.slice() ?? new Float32Array(P).fill(Number.NaN),
    weight_P: new Float32Array(P),
    kept_P: new Uint8Array(P),
  }
  const inPool = placesInPool(artefact.kept_P, P)
  for await (const { index, score, weight } of weighSamples(request, data)) {
    const place = inPool(index)
    all.score_P[place] = score
    all.weight_P[place] = weight
    all.kept_P[place] = weight > 0 ? 1 : 0
  }
  const drawn = firstDraw(config, data, (index) => all.score_P[inPool(index)]!)
  for (const [index, weight] of drawn?.entries() ?? []) {
    const place = inPool(index)
    all.weight_P[place] = weight
    all.kept_P[place] = weight > 0 ? 1 : 0
  }
  return all
}

/** Index in the pool of a sample of what was kept of it. */
function placesInPool(kept_P: Uint8Array | undefined, P: number): (index: number) => number {
  if (kept_P === undefined) return (index) => index
  const places = Array.from({ length: P }, (_, i) => i).filter((i) => kept_P[i] === 1)
  return (index) => places[index]!
}

/** Every sample of the ordered data once, with its score and its weight under the model as it is. */
async function* weighSamples(request: PoolRequest, data: OrderedData): AsyncGenerator<WeighedSample> {
  const { config, checkStop, onProgress } = request
  const parts = partsOf(config.method)
  const { drawnRows, stepsPerEpoch, passes } = planSteps(
    config,
    (epoch) => data.rows.numRowsPerEpoch(epoch),
    parts.candidates,
  )
  const context: MethodContext = {
    totalSteps: SETTLING_STEPS,
    stepsPerEpoch,
    passes,
    layout: { accumulation: config.training.gradient_accumulation_steps, worldSize: 1 },
    isPlainText: data.isPlainText,
    seed: config.training.seed,
    dataset: data.train,
    mixing: data.mixing,
    artefact: data.artefact,
  }
  using looker = await openLooker(request, parts, data)
  using method = createMethod(config.method, context)
  const layout = runLayout(config, data, { worldSize: 1, rank: 0 })
  const steps = new FrozenSteps({
    method,
    eyes: looker.eyes,
    anchors: data.anchors,
    learningRate: config.training.learning_rate,
    layOut: (samples) => layOutSamples(samples, layout),
  })
  let mustSettle = learnsFromSteps(parts, config, context)
  const settle = async () => {
    const rows = rowsOf(config, data)
    for (let step = 0; mustSettle && step < SETTLING_STEPS; step++) {
      checkStop()
      steps.settle(layOutRows(rows.next(drawnRows, { shares: method.shares() }).rows, layout))
      await new Promise(setImmediate)
    }
    mustSettle = false
  }
  // What is stored of samples says nothing of shares.
  if (parts.apply === 'sample') await settle()
  const factorOf = shareFactors(method.shares(), data)
  const rows = rowsOf(config, data)
  let done = 0
  for (let chunk = 0, isOver = false; !isOver; chunk++) {
    const drawn: (readonly Row[])[] = []
    while (drawn.length < STEPS_PER_CHUNK && !isOver) {
      const next = rows.next(drawnRows)
      drawn.push(next.rows)
      isOver = next.epochEnd
    }
    const indexes = drawn.flat(2).sort((a, b) => a - b)
    const values = await looker.take(chunk, async () => {
      await settle()
      const weighed: WeighedSample[] = []
      for (const step of drawn) {
        checkStop()
        weighed.push(...steps.look(layOutRows(step, layout)))
        await new Promise(setImmediate)
      }
      weighed.sort((a, b) => a.index - b.index)
      if (weighed.some(({ index }, i) => index !== indexes[i]) || weighed.length !== indexes.length)
        throw new RangeError('expected a weight for every sample of a step')
      return Float32Array.from(weighed.flatMap(({ score, weight }) => [score, weight]))
    })
    for (const [i, index] of indexes.entries()) {
      yield { index, score: values[2 * i]!, weight: values[2 * i + 1]! * factorOf(index) }
    }
    done += indexes.length
    onProgress(done, data.train.numSamples)
  }
}

/** Every sample once, in the order and the steps of a run's first epoch. */
function rowsOf({ data, training }: RunConfig, { train }: OrderedData): RowStream {
  return createRowStream({
    dataset: train,
    seed: training.seed,
    maxLength: data.max_length,
    packing: data.packing,
    windowSize: Math.min(data.packing_window, 65_536),
    mixing: 'natural',
  })
}

/** Whether scores or weights are a function of steps that went before. */
function learnsFromSteps(parts: MethodParts, config: RunConfig, context: MethodContext): boolean {
  if (looksWithModel(parts)) return true
  const gate = createGate(config.method, context)
  try {
    return gate.observe !== undefined
  } finally {
    gate.dispose?.()
  }
}

/** How much more often than in the data a method reads a sample, where it shares the draw out among the sources; else 1. */
function shareFactors(
  shares: ArrayLike<number> | undefined,
  { train, pool }: OrderedData,
): (index: number) => number {
  if (shares === undefined) return () => 1
  // Shares of before training are those of the pool's sources.
  const { sources } = shares.length === train.sources.length ? train : pool
  const natural = planMixing(train, 'natural')
  const factors = train.sources.map((name, g) => shares[sources.indexOf(name)]! / natural[g]!.share)
  return (index) => factors[train.sourceIndex(index)]!
}

/** What is looked with, and where results are kept over a kill. */
interface Looker extends Disposable {
  readonly eyes: Eyes
  take(chunk: number, compute: () => Promise<Float32Array>): Promise<Float32Array>
}

/**
 * The model that a method scores with; none where all scores were made before training.
 * @throws {ConfigError} NEEDS_MODEL where there is none, MODEL_NOT_USED where one is given in vain.
 */
async function openLooker(request: PoolRequest, parts: MethodParts, data: OrderedData): Promise<Looker> {
  const { config, baseDir, model: named, onLine, prepared } = request
  if (!looksWithModel(parts))
    return { eyes: BLIND, take: (_, compute) => compute(), [Symbol.dispose]: () => {} }
  const { method, training } = config
  if (training.threads !== undefined) setNumThreads(training.threads)
  const places = named === undefined ? undefined : await locateModel(named, undefined, { onLine })
  const { model } = await openNamedModel(config, baseDir, data.tokenizer, named, { onLine })
  const { model: spec } = config
  const folders = places ? [places.model, places.adapter] : 'path' in spec ? [spec.path, spec.adapter] : []
  const { bf16, learning_rate, max_steps, num_train_epochs, dataloader_drop_last } = training
  const key = artefactKey({
    version: packageVersion(),
    method,
    model: places ? '' : spec,
    weights: folders.map((path) => (path === undefined ? '' : fingerprintModel(path, baseDir))),
    fingerprints: data.fingerprints,
    prepared: prepared?.key ?? '',
    rows: [training.per_device_train_batch_size, training.gradient_accumulation_steps],
    training: { bf16, learning_rate, max_steps, num_train_epochs, dataloader_drop_last },
  })
  const store = new ChunkStore(
    join(resolveCacheDir(config, baseDir), 'prepared', `scores-${key.slice(0, 16)}`),
  )
  const eyes = eyesOf(model, {
    autocastDtype: autocastDtype(training.bf16, model.device),
    reference: data.artefact.tokenLoss,
    factors: parts.needs.factors === true,
  })
  return {
    eyes,
    take: async (chunk, compute) =>
      (await store.take(chunk, async () => ({ values: await compute(), flops: 0 }))).values,
    [Symbol.dispose]: () => model.dispose(),
  }
}

/**
 * Refuses a method without scores, a model that is missing, and one that no score would be made with.
 * @throws {ConfigError} NO_SCORES, NEEDS_MODEL, MODEL_NOT_USED.
 */
export function requireScores(config: RunConfig, model: string | undefined): void {
  const parts = partsOf(config.method)
  const { id } = parts.definition
  if (cadenceOf(parts) === 'never' && parts.needs.sources === undefined) {
    throw new ConfigError(
      'NO_SCORES',
      `method: expected one that scores or weighs samples, received "${id}", which scores nothing, before training or in it; before training score ${scoringBefore()}`,
    )
  }
  if (!looksWithModel(parts) && model !== undefined) {
    throw new ConfigError(
      'MODEL_NOT_USED',
      `--model: method "${id}" scores before training, with the config's own model where it needs one; set model.path instead, received ${printable(model)}`,
    )
  }
  if (looksWithModel(parts) && model === undefined && 'init' in config.model) {
    throw new ConfigError(
      'NEEDS_MODEL',
      `--model: method "${id}" scores nothing before training, but with the model as it trains: expected the folder of a trained one, received none (the config starts from scratch); before training score ${scoringBefore()}`,
    )
  }
}

/** Whether weights come of a model as it stands: not of scores that were made before, nor of shares that never change. */
function looksWithModel(parts: MethodParts): boolean {
  return cadenceOf(parts) !== 'once' && cadenceOf(parts) !== 'never'
}

/** Methods whose scores are made before training, in words. */
function scoringBefore(): string {
  const ids = METHODS.filter(({ signal }) => 'prepare' in signal && !('create' in signal)).map(({ id }) => id)
  return `${ids.slice(0, -1).join(', ')} and ${ids.at(-1)}`
}
