/** P samples of the pool. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { distributed, scope, tensor } from '@adapt-ts/torch'
import { type RunConfig, resolveCacheDir } from '../config/index.js'
import { AdaptError, ConfigError, DataError } from '../errors.js'
import { resolveModelPath } from '../hub/index.js'
import {
  type Artefact,
  type Gate,
  type RunFacts,
  type SignalDefinition,
  type StepFacts,
  scoresOf,
} from '../method/index.js'
import { fingerprintModel, type RunInputs } from '../open/index.js'
import { ALONE } from '../ranks.js'
import { RunLock } from '../run-folder/index.js'
import { packageVersion } from '../version.js'
import { ArtefactFolder, artefactKey, type Prepared } from './artefact-store.js'
import { Preparation, type ToolsContext } from './preparation-tools.js'
import { drawScored, inPart } from './scored-part.js'

/** What a preparation works with. */
export interface PrepareContext extends Omit<ToolsContext, 'work' | 'trainProxy'> {
  /** Makes what `ToolsContext.trainProxy` does, with the folder of a proxy's work. */
  readonly trainProxy: ToolsContext['trainProxy']
}

/** Keys of `training` that a proxy's result is no function of. */
const FREE_OF_PROXIES = new Set([
  ...['logging_steps', 'logging_dir', 'report_to', 'save_steps', 'save_total_limit', 'threads', 'device'],
  ...['load_best_model_at_end', 'metric_for_best_model', 'greater_is_better'],
  ...['early_stopping_patience', 'early_stopping_threshold', 'resume_from_checkpoint', 'ema_decay'],
])

/** What a model makes of text is a function of, beside its weights. */
const WITH_WEIGHTS = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json']

/** Between two looks at another process that makes the same artefact. */
const WAIT_MS = 500

/**
 * Makes what a signal needs before training, or finds it: under the cache, by a key of everything that it is a function of. A preparation that
 * was killed goes on where it was. Ranks that prepare together call it together and see the same cache.
 *
 * @param options  Of the signal, in camelCase.
 * @throws {AdaptError} INTERRUPTED when the run was asked to stop. @throws {DataError} BAD_SCORES for scores that are not numbers.
 */
export async function prepareSignal(
  // biome-ignore lint/suspicious/noExplicitAny: a definition's options are its own
  definition: SignalDefinition<string, any>,
  options: Readonly<Record<string, unknown>>,
  context: PrepareContext,
): Promise<Prepared | undefined> {
  const { prepare } = definition
  if (prepare === undefined) return undefined
  const { config, baseDir, inputs, onLine, checkStop, ranks = ALONE } = context
  const key = keyOf(definition, options, context)
  const path = join(
    resolveCacheDir(config, baseDir),
    'prepared',
    `${definition.preparedAs ?? definition.kind}-${key.slice(0, 16)}`,
  )
  const folder = new ArtefactFolder(path, key, inputs.train)
  const onDamage = (message: string) => onLine(`warning: ${message}`)
  for (let waits = 0; ; waits++) {
    const found = folder.read(onDamage)
    if (!(await ranks.any(found === undefined)) && found) {
      onLine(`preparation of ${definition.kind}: found in ${path}`)
      for (const warning of found.warnings) onLine(`warning: ${warning}`)
      return found
    }
    checkStop()
    using lock = new OptionalLock()
    const state = await ranks.fromFirst(() => {
      if (!lock.take(path)) return 'held'
      // Another process may have made it between the look and the lock.
      if (folder.isThere) return 'made'
      folder.removeLeftovers()
      return 'ours'
    })
    if (state === 'made') continue
    if (state === 'held') {
      if (waits === 0) onLine(`preparation of ${definition.kind}: another process makes it; waiting`)
      await sleep(WAIT_MS)
      continue
    }
    const start = performance.now()
    const { isScored, share } = drawScored(definition, options, context)
    const tools = new Preparation({ ...context, work: folder.work, isScored })
    const made = await prepare(options, tools)
    const artefact = share === 1 ? made : inPart(definition, made, { isScored, share, inputs })
    requireNumbers(definition.kind, artefact, inputs)
    const seconds = (performance.now() - start) / 1000
    const { flops, warnings } = tools
    onLine(`preparation of ${definition.kind}: ${seconds.toFixed(1)} s, ${flops.toExponential(2)} FLOPs`)
    // What is half done goes with it: nobody reads it any more.
    await ranks.fromFirst(() => {})
    let published: Prepared | undefined
    await ranks.fromFirst(() => {
      published = folder.publish(artefact, { flops, seconds, warnings })
    })
    published ??= folder.read(onDamage)
    if (published === undefined) throw new RangeError(`${path}: what was just prepared is not there`)
    return { ...published, isCached: false }
  }
}

/** The lock of an artefact's folder, where this process has it. */
class OptionalLock implements Disposable {
  private held: RunLock | undefined

  /** Whether it was free. */
  take(path: string): boolean {
    try {
      this.held = RunLock.acquire(path)
      return true
    } catch (error) {
      if (error instanceof AdaptError && error.code === 'RUN_ACTIVE') return false
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.held?.[Symbol.dispose]()
  }
}

function keyOf(
  // biome-ignore lint/suspicious/noExplicitAny: a definition's options are its own
  { kind, preparedAs = kind, trainsProxies, readsModels, scoreOptions = [] }: SignalDefinition<string, any>,
  options: Readonly<Record<string, unknown>>,
  { config, inputs, baseDir, totalSteps, passes }: PrepareContext,
): string {
  const { fingerprints, trainFiles, anchorDocuments } = inputs
  const { max_length, packing, packing_window, mixing, val_set_size } = config.data
  const { seed, bf16 } = config.training
  return artefactKey({
    version: packageVersion(),
    kind: preparedAs,
    options: Object.fromEntries(Object.entries(options).filter(([name]) => !scoreOptions.includes(name))),
    modelsRead: Object.values(readsModels?.(options) ?? {}).map((path) => [
      fingerprintModel(path, baseDir),
      ...WITH_WEIGHTS.map((name) => hashOf(join(resolveModelPath(baseDir, path), name))),
    ]),
    fingerprints,
    // Methods read words too, and tokens do not hold all of them: a template or a cut leaves some out.
    anchors: anchorDocuments.map(({ source, content }) => [source, content]),
    model: config.model,
    modelFiles: 'path' in config.model ? fingerprintModel(config.model.path, baseDir) : '',
    data: { max_length, val_set_size },
    seed,
    bf16,
    // Of a part that is drawn by default it is a function of what the run takes.
    ...(options.scored === 'auto'
      ? { read: [totalSteps, passes, config.training.gradient_checkpointing] }
      : {}),
    // A proxy is a run: it is a function of how runs train.
    ...(trainsProxies
      ? {
          training: withoutFree(config.training),
          order: { packing, packing_window, mixing },
          // Of a run of epochs it depends on the method how many steps those are.
          length: [totalSteps, passes],
          // The fingerprint of the data knows the weights of records alone.
          weights: trainFiles.map(({ name, weight = 1 }) => [name, weight]),
        }
      : {}),
  })
}

/** SHA-256 (hex) of a file; empty for one that is not there. */
function hashOf(path: string): string {
  return existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : ''
}

/** How runs train, without what proxies do not have and what changes no result. */
function withoutFree(training: RunConfig['training']): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(training).filter(([key]) => !FREE_OF_PROXIES.has(key)))
}

function requireNumbers(kind: string, { score_P, share_G }: Artefact, { train }: RunInputs): void {
  const bad = score_P?.findIndex(Number.isNaN) ?? -1
  if (bad >= 0)
    throw new DataError(
      'BAD_SCORES',
      `preparation of ${kind}: the score of ${train.origin(bad).id} is not a number`,
    )
  if (score_P !== undefined && score_P.length !== train.numSamples)
    throw new RangeError(
      `preparation of ${kind}: expected ${train.numSamples} scores, received ${score_P.length}`,
    )
  if (share_G !== undefined && !share_G.every((share) => share >= 0))
    throw new DataError('BAD_SHARES', `preparation of ${kind}: a share is not a number >= 0`)
}

/**
 * The samples that a gate keeps of a pool that was scored before training: those with a weight above 0. Samples without labels train nothing
 * and are left out.
 *
 * @throws {DataError} NOTHING_KEPT.
 */
export function selectPool(
  gate: Gate,
  artefact: Artefact,
  facts: RunFacts,
  data: RunInputs['train'],
): Artefact {
  const { score_P } = artefact
  if (score_P === undefined) return artefact
  const candidates: number[] = []
  for (let i = 0; i < data.numSamples; i++) if (data.labelCount(i) > 0) candidates.push(i)
  const weights = scope(() => {
    const score = tensor(
      // What was not scored is no candidate, and still a part of what is kept a share of.
      Float32Array.from(candidates, (i) => (artefact.kept_P?.[i] === 0 ? Number.NaN : score_P[i]!)),
      [candidates.length],
    )
    const labels = Float64Array.from(candidates, (i) => data.labelCount(i))
    const poolFacts = beforeTraining(facts)
    return gate.weights(scoresOf(score, candidates, labels, poolFacts), poolFacts).toFloat32Array()
  })
  const kept_P = new Uint8Array(data.numSamples)
  candidates.forEach((sample, i) => {
    kept_P[sample] = weights[i]! > 0 ? 1 : 0
  })
  if (!kept_P.includes(1)) {
    throw new DataError(
      'NOTHING_KEPT',
      'method: no sample of the training data is left to train on; keep more',
    )
  }
  return { ...artefact, kept_P }
}

/** There is no step yet: a gate that asks for the model cannot weigh a pool. */
export function beforeTraining(facts: RunFacts): StepFacts {
  const missing = () => {
    throw new ConfigError(
      'NEEDS_STEP',
      'method.gate: this gate looks at the model, which a pool is not weighed with',
    )
  }
  return {
    ...facts,
    step: 0,
    collective: distributed.singleProcess,
    // A pool is weighed from numbers of the host.
    device: 'cpu',
    learningRate: 0,
    anchors: [],
    look: missing,
    charge: missing,
  }
}
