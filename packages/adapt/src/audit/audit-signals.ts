/** n samples that were drawn, m of them with a gradient. */
import { setNumThreads } from '@adapt-ts/torch'
import { planSteps, type RunConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { estimateFlops } from '../estimate/index.js'
import { NO_ARTEFACT } from '../method/index.js'
import { suggestName } from '../method/nearest-name.js'
import type { CausalLM } from '../model/index.js'
import {
  chooseDevice,
  explainMemory,
  locateModel,
  openInputs,
  openNamedModel,
  orderData,
  type RunInputs,
} from '../open/index.js'
import { StopRequest } from '../run/index.js'
import { midRanks } from '../signal/index.js'
import { type Candidate, type CandidateChoice, findCandidates, type LeftOut } from './audit-candidates.js'
import { type AuditPools, drawPools } from './audit-pools.js'
import { type Influence, measureInfluence } from './gradient-influence.js'
import { type ScoredCandidate, scoreCandidates } from './score-candidates.js'
import {
  figuresOf,
  judgeSignal,
  type SignalFigures,
  type SignalVerdict,
  type SourceRoles,
} from './signal-figures.js'

/** What is audited. */
export interface AuditRequest extends CandidateChoice {
  readonly config: RunConfig
  readonly baseDir: string
  /** Model folder, adapter, run or checkpoint. */
  readonly model: string
  /** Samples of the training data to score. */
  readonly samples: number
  /** Of these, how many whose gradients are taken; 0: none. */
  readonly influence: number
  readonly roles: SourceRoles
  readonly onLine: (line: string) => void
  /** What is being done, for a line that is overwritten. */
  readonly onProgress: (text: string) => void
}

/** Where the samples of a source stand among all, in shares of them from the lowest score: quartiles. */
export interface SourceRanks {
  readonly source: string
  readonly samples: number
  readonly quartiles: readonly [number, number, number]
}

/** One signal as it was found. */
export interface AuditedSignal extends SignalFigures, SignalVerdict {
  readonly name: string
  /** Ids of the methods that score so. */
  readonly methods: readonly string[]
  /** Kind and options, as a config writes them. */
  readonly signal: Readonly<Record<string, unknown>>
  /** FLOPs beside those of training, as a share of them, in a run of the config. */
  readonly costShare: number
  /** Of this audit: preparation, anchors and scoring, without the forwards that all signals share. */
  readonly seconds: number
  readonly flops: number
  readonly sources: readonly SourceRanks[]
}

/** The gradient influence itself, with the figures that a signal has. */
export interface AuditedInfluence extends SignalFigures {
  readonly samples: number
  readonly seconds: number
  readonly flops: number
}

/** What {@link auditSignals} found. */
export interface Audit {
  readonly model: string
  readonly samples: number
  readonly anchors: number
  readonly roles: SourceRoles
  readonly influence?: AuditedInfluence
  /** The most useful first. */
  readonly signals: readonly AuditedSignal[]
  readonly leftOut: readonly LeftOut[]
  /** Name of the signal to train with; absent when none is worth it. */
  readonly best?: string
  /** Signals that are worth it too, and that these samples do not tell from the best. */
  readonly ties: readonly string[]
  /** What should be known before the verdict is believed. */
  readonly cautions: readonly string[]
}

/**
 * Scores one checkpoint without training it: for every signal that fits the config, whether it finds the anchors or the target sources, whether it goes
 * with the gradient influence of single samples on the anchors, how far two halves of the anchors agree, and what it costs.
 *
 * @throws {ConfigError} NO_ANCHORS, TOO_FEW_ANCHORS, TOO_FEW_SAMPLES, UNKNOWN_SIGNAL, UNKNOWN_SOURCE and what opening inputs and the model throws.
 * @throws {AdaptError} INTERRUPTED after a signal.
 */
export async function auditSignals(request: AuditRequest): Promise<Audit> {
  const { config, baseDir, model: named, onLine, onProgress, roles } = request
  if (config.anchors.length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: expected at least one entry to audit with, received none')
  using stop = new StopRequest()
  const checkStop = () => stop.throwIfRequested('before the audit was done')
  const chosen = chooseDevice(config.training.device)
  onLine(chosen.line)
  if (config.training.threads !== undefined) setNumThreads(config.training.threads)
  const inputs = await openInputs(config, baseDir, { needsAnchors: true, onLine, checkStop })
  try {
    requireSources(inputs.train.sources, roles)
    const { candidates, leftOut } = findCandidates(
      config,
      {
        anchors: inputs.anchorDocuments.length,
        sources: inputs.train.sources.length,
        isPlainText: inputs.isPlainText,
      },
      request,
    )
    const pools = await drawPools(inputs, {
      count: request.samples,
      seed: config.training.seed,
      maxLength: config.data.max_length,
    })
    const places = await locateModel(named, undefined, { onLine })
    const { model, name } = await openNamedModel(config, baseDir, inputs.tokenizer, named, { onLine })
    try {
      model.eval()
      const { scored, leftOut: failed } = await scoreCandidates(candidates, {
        ...{ config, baseDir, inputs, pools, onProgress, checkStop },
        lent: { model, folder: places.adapter ?? places.model },
      })
      const count = Math.min(request.influence, pools.numDrawn)
      const influence =
        count < 8
          ? undefined
          : await measureInfluence(model, pools, {
              ...{ config, padId: inputs.padId, count, onProgress, checkStop },
            })
      const costOf = costsOf(config, inputs, model)
      return {
        model: name,
        samples: pools.numDrawn,
        anchors: pools.numAnchors,
        roles,
        leftOut: [...leftOut, ...failed],
        ...conclude(scored, pools, influence, roles, costOf),
      }
    } finally {
      model.dispose()
    }
  } catch (error) {
    const remedies = [
      `a smaller training.per_device_train_batch_size (now ${config.training.per_device_train_batch_size})`,
      '--influence 0',
      'another training.device',
    ]
    throw explainMemory(error, 'the audit', chosen.device, remedies)
  } finally {
    inputs.train.close()
  }
}

function requireSources(sources: readonly string[], roles: SourceRoles): void {
  const seen = new Set<string>()
  for (const [role, names] of Object.entries(roles) as [keyof SourceRoles, readonly string[]][]) {
    for (const name of names) {
      if (!sources.includes(name))
        throw new ConfigError(
          'UNKNOWN_SOURCE',
          `--${role}: expected sources of data.train (${sources.map((one) => printable(one, 60)).join(', ')}), received "${printable(name, 60)}"${suggestName(name, sources)}`,
        )
      if (seen.has(name))
        throw new ConfigError(
          'OUT_OF_RANGE',
          `--${role}: expected a source once, received "${printable(name, 60)}" twice`,
        )
      seen.add(name)
    }
    if (role !== 'target' && names.length > 0 && roles.target.length === 0)
      throw new ConfigError('OUT_OF_RANGE', `--${role}: expected --target too, received none`)
  }
}

/** FLOPs of a run beside those of training, as a share of them. */
function costsOf(config: RunConfig, inputs: RunInputs, model: CausalLM): (candidate: Candidate) => number {
  const { rows } = orderData(config, inputs, NO_ARTEFACT)
  const plan = planSteps(config, (epoch) => rows.numRowsPerEpoch(epoch))
  const { numSamples, numTokens } = inputs.train
  const { numParameters: total, numTrainableParameters: trainable } = model
  const anchorTokens = inputs.anchors.flatMap(({ samples }) => samples)
  return ({ config: method }) => {
    const flops = estimateFlops(
      { method, training: config.training },
      { embedding: 0, nonEmbedding: total, adapters: [], total, trainable },
      {
        steps: plan.totalSteps,
        stepsPerEpoch: plan.stepsPerEpoch,
        tokens: plan.passes * numTokens,
        samples: numSamples,
        tokensPerPass: numTokens,
        basis: 'token cache',
      },
      {
        count: anchorTokens.length,
        tokensEach: anchorTokens.reduce((sum, sample) => sum + sample.numTokens, 0) / anchorTokens.length,
      },
    )
    return (flops.signal + flops.preparation) / flops.train
  }
}

/** Figures, verdicts and their order. */
function conclude(
  scored: readonly ScoredCandidate[],
  pools: AuditPools,
  influence: Influence | undefined,
  roles: SourceRoles,
  costOf: (candidate: Candidate) => number,
): Pick<Audit, 'influence' | 'signals' | 'best' | 'ties' | 'cautions'> {
  const { numDrawn, whole } = pools
  const sources = Array.from({ length: numDrawn }, (_, i) => whole.dataset.origin(i).source)
  const signals = scored
    .map(({ candidate, whole: all, halves, seconds, flops }): AuditedSignal => {
      const drawn = all.scores.slice(0, numDrawn)
      const parts = (halves ?? [all]).map(({ scores }) => ({
        drawn: scores.slice(0, numDrawn),
        heldOut: scores.slice(numDrawn),
      }))
      const figures = figuresOf({ drawn, parts }, sources, roles, influence)
      return {
        name: candidate.name,
        methods: candidate.methods,
        signal: candidate.config.signal,
        ...figures,
        ...judgeSignal(figures, scored.length),
        costShare: costOf(candidate),
        ...{ seconds, flops, sources: ranksBySource(drawn, sources) },
      }
    })
    .sort((a, b) => Number(b.isWorth) - Number(a.isWorth) || usefulness(b) - usefulness(a))
  const [best] = signals.filter(({ isWorth }) => isWorth)
  const ofInfluence = influence && influenceFigures(influence, sources, roles)
  return {
    ...(ofInfluence ? { influence: ofInfluence } : {}),
    signals,
    ...(best ? { best: best.name } : {}),
    ties: best
      ? signals.filter((other) => other !== best && isTied(best, other)).map(({ name }) => name)
      : [],
    cautions: cautionsOf(signals, ofInfluence),
  }
}

/** What signals are ordered by: the rank correlation with the influence, where that was measured. */
const usefulness = ({ influence, rest, anchors }: SignalFigures): number =>
  influence?.dot.value ?? (rest ?? anchors).value

/** Whether the interval of another signal that is worth it holds the figure of the best. */
function isTied(best: AuditedSignal, other: AuditedSignal): boolean {
  const { interval } = other.influence?.dot ?? other.rest ?? other.anchors
  return other.isWorth && interval[1] >= usefulness(best)
}

function influenceFigures(
  influence: Influence,
  sources: readonly string[],
  roles: SourceRoles,
): AuditedInfluence {
  const { dot, halves, seconds, flops } = influence
  const parts = halves.map(({ dot: drawn, heldOut }) => ({ drawn, heldOut }))
  const figures = figuresOf({ drawn: dot, parts }, sources.slice(0, dot.length), roles, influence)
  return { ...figures, samples: dot.length, seconds, flops }
}

/** Below these a figure says more of the audit than of the signals. */
const MIN_POSITIVES = 20
const MIN_RELIABILITY = 0.5

function cautionsOf(
  signals: readonly AuditedSignal[],
  influence: AuditedInfluence | undefined,
): readonly string[] {
  const [first] = signals
  const positives = first === undefined ? MIN_POSITIVES : (first.rest ?? first.anchors).positives
  const what = first?.rest === undefined ? 'anchors' : 'samples of the target'
  return [
    ...(positives < MIN_POSITIVES
      ? [
          `only ${positives} ${what} were compared with the rest: give more ${first?.rest === undefined ? 'anchors' : '--samples'}`,
        ]
      : []),
    ...(influence?.splitHalf !== undefined && influence.splitHalf < MIN_RELIABILITY
      ? [
          `the influence that one half of the anchors gives goes only ${influence.splitHalf.toFixed(2)} with that of the other: with more anchors signals would go with it better`,
        ]
      : []),
  ]
}

function ranksBySource(scores: Float64Array, sources: readonly string[]): SourceRanks[] {
  const shares = midRanks(scores).map((rank) => (rank - 0.5) / scores.length)
  return [...new Set(sources)]
    .map((source): SourceRanks => {
      const own = shares.filter((_, i) => sources[i] === source).sort()
      const at = (share: number) => own[Math.round(share * (own.length - 1))]!
      return { source, samples: own.length, quartiles: [at(0.25), at(0.5), at(0.75)] }
    })
    .sort((a, b) => b.quartiles[1] - a.quartiles[1])
}
