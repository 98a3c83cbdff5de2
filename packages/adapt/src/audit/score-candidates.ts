/** n samples that were drawn, S samples of a batch. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { distributed, scope, TorchError } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { createSignal, type MethodContext, runFactsOf } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { AdaptError, ConfigError, EXIT } from '../errors.js'
import { sampleMeans } from '../loss/index.js'
import {
  type Artefact,
  type Evidence,
  lookAt,
  NO_ARTEFACT,
  type Signal,
  type StepFacts,
  withReference,
} from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import { autocastDtype, type RunInputs } from '../open/index.js'
import { Preparation } from '../prepare/index.js'
import { forwardFlops } from '../train/index.js'
import type { Candidate, LeftOut } from './audit-candidates.js'
import { type AuditPool, type AuditPools, batchesOf } from './audit-pools.js'

/** A run that is long enough for every signal to score all samples, whatever that costs. */
const MANY_PASSES = 1e6

/** Step of the second pass: whatever a signal refreshes now and then is due in it, from what it learnt in the first. */
const LATE_STEP = 1_000_000
const STEPS_PER_EPOCH = 1000

/** Scores of a signal over one pool. */
export interface PoolScore {
  readonly pool: AuditPool
  /** By dense index of the pool's dataset. */
  readonly scores: Float64Array
}

/** What a candidate made of the samples. */
export interface ScoredCandidate {
  readonly candidate: Candidate
  /** All anchors compare; where it looks at no anchor they are scored too. */
  readonly whole: PoolScore
  /** For signals that compare with anchors. */
  readonly halves?: readonly [PoolScore, PoolScore]
  /** Of scoring the whole pool, but for the model's forward over its samples, which all share. */
  readonly seconds: number
  /** Of its preparation, and of embedding anchors. */
  readonly flops: number
}

/** What candidates are scored with. */
export interface ScoringContext {
  readonly config: RunConfig
  readonly baseDir: string
  readonly inputs: RunInputs
  readonly pools: AuditPools
  /** The model that is audited, and its folder. */
  readonly lent: { readonly model: CausalLM; readonly folder: string }
  readonly onProgress: (text: string) => void
  readonly checkStop: () => void
}

/** One signal over one pool, alive while all are scored together. */
class Instance implements PoolScore {
  readonly scores: Float64Array
  seconds = 0
  flops = 0
  failure: string | undefined
  private readonly facts: Omit<StepFacts, 'step'>

  constructor(
    readonly candidate: Candidate,
    readonly pool: AuditPool,
    readonly signal: Signal | undefined,
    readonly artefact: Artefact,
    { config, lent: { model }, inputs }: ScoringContext,
  ) {
    this.scores = new Float64Array(pool.dataset.numSamples).fill(Number.NaN)
    const stored = signal === undefined ? artefact.score_P : undefined
    if (stored) this.scores.set(stored)
    const options = {
      autocastDtype: autocastDtype(config.training.bf16, model.device),
      reference: artefact.tokenLoss,
      factors: candidate.parts.needs.factors === true,
    }
    const layOut = (samples: ArrayLike<number>) =>
      batchesOf(pool.dataset, Array.from(samples), config.training.per_device_train_batch_size, inputs.padId)
    this.facts = {
      ...{ layOut, layOutPool: layOut },
      ...runFactsOf(contextOf(config, inputs, pool, artefact)),
      collective: distributed.singleProcess,
      device: model.device,
      learningRate: config.training.learning_rate,
      anchors: pool.anchors,
      look: (batch) => lookAt(model, batch, options),
      charge: (numTokens) => {
        const flops = forwardFlops(model.numParameters, numTokens)
        this.flops += flops
        return flops
      },
    }
  }

  /** Runs a part of the signal's work and times it; what a user can cause takes the candidate out. */
  attempt(step: number, work: (signal: Signal, facts: StepFacts) => void): void {
    const { signal } = this
    if (this.failure !== undefined || signal === undefined) return
    const start = performance.now()
    try {
      scope(() => work(signal, { ...this.facts, step }))
    } catch (error) {
      this.failure = messageOf(error)
    }
    this.seconds += (performance.now() - start) / 1000
  }

  /** Scores the samples of a batch. */
  score(batch: Batch, seen: Evidence, step: number): void {
    this.attempt(step, (signal, facts) => {
      const { tokenLoss } = this.artefact
      const evidence = tokenLoss ? withReference(seen, tokenLoss, facts.device) : seen
      const score_U = signal.score(evidence, facts)
      const score_S = this.candidate.parts.unit === 'token' ? sampleMeans(score_U, batch.samples) : score_U
      score_S.toFloat32Array().forEach((score, i) => {
        this.scores[batch.samples[i]!.index] = score
      })
    })
  }
}

/** What the parts of a method may know of an audit. */
function contextOf(
  { training }: RunConfig,
  { isPlainText }: RunInputs,
  { dataset }: AuditPool,
  artefact: Artefact,
): MethodContext {
  const layout = { accumulation: training.gradient_accumulation_steps, worldSize: 1 }
  const length = { totalSteps: LATE_STEP + 2, stepsPerEpoch: STEPS_PER_EPOCH }
  return { ...length, isPlainText, seed: training.seed, dataset, layout, artefact }
}

/**
 * Scores the samples by every candidate under one model. All look at the same forwards: once to learn what they learn from a step, such as a
 * mean, and once to be scored.
 */
export async function scoreCandidates(
  candidates: readonly Candidate[],
  context: ScoringContext,
): Promise<{ readonly scored: readonly ScoredCandidate[]; readonly leftOut: readonly LeftOut[] }> {
  const { pools } = context
  const work = mkdtempSync(join(tmpdir(), 'adapt-audit-'))
  const byCandidate: { readonly candidate: Candidate; readonly instances: readonly Instance[] }[] = []
  const leftOut: LeftOut[] = []
  try {
    for (const [c, candidate] of candidates.entries()) {
      context.onProgress(`preparing signal ${c + 1} of ${candidates.length}: ${candidate.name}`)
      const own = candidate.parts.needs.anchors ? [pools.whole, ...pools.halves] : [pools.open]
      try {
        const instances: Instance[] = []
        for (const [p, pool] of own.entries())
          instances.push(await createInstance(candidate, pool, join(work, `${c}-${p}`), context))
        byCandidate.push({ candidate, instances })
      } catch (error) {
        leftOut.push({ name: candidate.name, reason: messageOf(error) })
      }
    }
    const all = byCandidate.flatMap(({ instances }) => instances)
    if (all.some(({ signal }) => signal?.observe !== undefined)) await runPass(all, 0, context)
    await runPass(all, LATE_STEP, context)
    for (const { signal } of all) signal?.dispose?.()
    const scored = byCandidate.flatMap(({ candidate, instances }): ScoredCandidate[] => {
      const reason = instances.map(({ failure, scores }) => failure ?? problemOf(scores)).find(Boolean)
      if (reason !== undefined) {
        leftOut.push({ name: candidate.name, reason })
        return []
      }
      const [whole, first, second] = instances as [Instance, Instance?, Instance?]
      const { seconds, flops } = whole
      return [{ candidate, whole, ...(first && second ? { halves: [first, second] } : {}), seconds, flops }]
    })
    return { scored, leftOut }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function problemOf(scores: Float64Array): string | undefined {
  const numMissing = scores.filter(Number.isNaN).length
  if (numMissing > 0) return `it gives ${numMissing} of ${scores.length} samples no score`
  return scores.every((score) => score === scores[0]) ? 'it gives every sample the same score' : undefined
}

async function createInstance(
  candidate: Candidate,
  pool: AuditPool,
  work: string,
  context: ScoringContext,
): Promise<Instance> {
  const { config, baseDir, inputs, lent, onProgress, checkStop } = context
  const { parts } = candidate
  const start = performance.now()
  const { prepare, prepares } = parts.signal
  let artefact: Artefact = NO_ARTEFACT
  let flops = 0
  if (prepare !== undefined && prepares?.(parts.signalOptions) !== false) {
    const { dataset, anchors, anchorDocuments } = pool
    const tools = new Preparation({
      ...{ config: { ...config, method: candidate.config }, baseDir, work, lent, checkStop },
      inputs: { ...inputs, train: dataset, anchors, anchorDocuments },
      totalSteps: 2,
      passes: MANY_PASSES,
      onLine: onProgress,
      trainProxy: async ({ isEarlyRun, name }) => {
        if (isEarlyRun !== true)
          throw new ConfigError('NEEDS_TRAINING', `its preparation trains a model (${name}): see adapt score`)
        return { checkpoints: [{ folder: lent.folder, learningRate: 1 }], lastEvents: new Map(), flops: 0 }
      },
    })
    artefact = await prepare(parts.signalOptions, tools)
    flops = tools.flops
    if (artefact.score_P === undefined && parts.isStored)
      throw new ConfigError('NO_SCORES', 'it gives samples no score of their own')
  }
  const signal = parts.isStored ? undefined : createSignal(parts, contextOf(config, inputs, pool, artefact))
  const instance = new Instance(candidate, pool, signal, artefact, context)
  instance.seconds = (performance.now() - start) / 1000
  instance.flops = flops
  return instance
}

/** All samples once under the model, past every signal; what is learnt of the last pass is nothing. */
async function runPass(
  all: readonly Instance[],
  step: 0 | typeof LATE_STEP,
  context: ScoringContext,
): Promise<void> {
  const { config, lent, pools, inputs, onProgress, checkStop } = context
  const { model } = lent
  const live = all.filter(({ signal }) => signal !== undefined)
  if (live.length === 0) return
  for (const instance of live) {
    checkStop()
    instance.attempt(step, (signal, facts) => signal.beforeStep?.(facts))
  }
  const rows = config.training.per_device_train_batch_size
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  const { dataset } = pools.whole
  const parts = [
    { batches: batchesOf(dataset, range(0, pools.numDrawn), rows, inputs.padId), instances: live },
    ...[...pools.halves, pools.open].map((pool) => ({
      batches: batchesOf(pool.dataset, range(pools.numDrawn, pool.dataset.numSamples), rows, inputs.padId),
      instances: live.filter((instance) => instance.pool === pool),
    })),
  ].filter(({ instances }) => instances.length > 0)
  const options = {
    autocastDtype: autocastDtype(config.training.bf16, model.device),
    reference: undefined,
    factors: live.some(({ candidate }) => candidate.parts.needs.factors === true),
  }
  const total = parts.reduce((sum, { batches }) => sum + batches.length, 0)
  const losses = new Float64Array(pools.numDrawn)
  let done = 0
  for (const { batches, instances } of parts) {
    for (const batch of batches) {
      checkStop()
      scope(() => {
        const evidence = lookAt(model, batch, options)
        // Made here, where they outlive the scope of the first signal that asks.
        evidence.tokenLoss_N()
        const loss_S = evidence.sampleLoss_S().toFloat32Array()
        batch.samples.forEach(({ index }, i) => {
          if (index < losses.length) losses[index] = loss_S[i]!
        })
        for (const instance of instances) instance.score(batch, evidence, step)
      })
      onProgress(`scoring: ${++done} of ${total} batches${step === 0 ? ', first pass' : ''}`)
      await new Promise(setImmediate)
    }
  }
  for (const instance of live) {
    instance.attempt(step, (signal, facts) =>
      signal.observe?.(
        { step: step + 1, wasFinite: step === 0, samples: outcomeOf(instance, losses) },
        facts,
      ),
    )
  }
}

function outcomeOf({ scores, pool: { dataset } }: Instance, loss: Float64Array) {
  const index = Float64Array.from(loss, (_, i) => i)
  return {
    index,
    labels: index.map((i) => dataset.labelCount(i)),
    score: scores.slice(0, loss.length),
    weight: new Float64Array(loss.length).fill(1),
    loss,
  }
}

/** What a user can cause is a reason; a bug of ours is thrown on, and so is a request to stop. */
function messageOf(error: unknown): string {
  const isKnown = error instanceof AdaptError && error.exitCode !== EXIT.bug && error.code !== 'INTERRUPTED'
  if (!isKnown && !(error instanceof TorchError && error.code !== 'OUT_OF_MEMORY')) throw error
  return error.message.split('\n')[0]!
}
