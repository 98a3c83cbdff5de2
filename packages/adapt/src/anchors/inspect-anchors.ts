/** V anchors, N training samples, K tasks, D width. */
import { cat, clone, mean, nn, noGrad, scope, type Tensor } from '@adapt-ts/torch'
import { type Batch, buildBatch, createPermutation } from '../batch/index.js'
import { resolveMethod, type SignalConfig } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { contentText } from '../contamination/index.js'
import type { Document } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import {
  autocastDtype,
  chooseDevice,
  explainMemory,
  fetchModels,
  openNamedModel,
  openTrainingData,
  prepareAnchors,
} from '../open/index.js'
import { AnchorScorer, anchorTasks, lengthOf, poolHidden, sourceFigures } from '../signal/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import { findContamination, type OverlapTable } from './find-contamination.js'

/** What {@link inspectAnchors} looks at. */
export interface AnchorInspectionRequest {
  readonly config: RunConfig
  readonly baseDir: string
  /** Model folder, run folder or checkpoint; default: the model of the config. */
  readonly model?: string
  /** Training samples to embed. */
  readonly samples: number
  /** What is being done, for a line that is overwritten. */
  readonly onProgress: (text: string) => void
}

/** Scores of the training samples of one source. */
export interface SourceScores {
  readonly source: string
  readonly samples: number
  readonly mean: number
  /** 5, 50 and 95 %. */
  readonly quantiles: readonly [number, number, number]
}

/** An anchor and how close it is to the others. */
export interface PlacedAnchor {
  readonly place: string
  readonly task: string
  /** Cosine with the mean of all anchors. */
  readonly cosine: number
  readonly text: string
}

/** What {@link inspectAnchors} found. */
export interface AnchorInspection {
  readonly model: string
  readonly isTrained: boolean
  readonly centered: boolean
  readonly aggregate: string
  readonly numAnchors: number
  readonly numTokens: number
  readonly tasks: readonly { readonly task: string; readonly anchors: number; readonly tokens: number }[]
  /** Training samples embedded. */
  readonly numSamples: number
  /** Figures of docs/methods/anchors.md by their names in `refresh` events. */
  readonly diagnostics: Readonly<Record<string, number>>
  /** Closest source first. */
  readonly sources: readonly SourceScores[]
  /** All anchors, nearest to their mean first. */
  readonly anchors: readonly PlacedAnchor[]
  readonly contamination: readonly OverlapTable[]
}

type EmbeddingConfig = Extract<SignalConfig, { kind: 'model-embedding' }>

/**
 * What the anchors of a config are worth under a model: their diagnostics against a random sample of the training
 * data, which sources they are close to, and what text the data, the anchors and the evaluation sets share.
 * @throws {ConfigError} NO_ANCHORS and what preparing a run throws.
 */
export async function inspectAnchors(request: AnchorInspectionRequest): Promise<AnchorInspection> {
  const { config, baseDir, onProgress } = request
  if (config.anchors.length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: expected at least one entry to look at, received none')
  await fetchModels(config, baseDir, { onLine: onProgress })
  const { train, tokenizer, padId } = await openTrainingData(config, baseDir, {
    onLine: onProgress,
    onTokenizing: ({ numDocuments, fileNumber, numFiles }) =>
      onProgress(`tokenizing file ${fileNumber}/${numFiles}: ${numDocuments.toLocaleString('en')} documents`),
  })
  const { device } = chooseDevice(config.training.device)
  try {
    const anchors = await prepareAnchors(config, baseDir, tokenizer, padId)
    const found = await openNamedModel(config, baseDir, tokenizer, request.model, { onLine: onProgress })
    try {
      const batches = sampleBatches(train, request.samples, padId)
      const figures = embedAndMeasure(found.model, anchors, batches, config, onProgress)
      const contamination = await findContamination(config, baseDir, onProgress)
      return { model: found.name, isTrained: found.isTrained, ...figures, contamination }
    } finally {
      found.model.dispose()
    }
  } catch (error) {
    const remedies = [`a smaller data.max_length (now ${config.data.max_length})`, 'another training.device']
    throw explainMemory(error, 'embedding', device, remedies)
  } finally {
    train.close()
  }
}

/** A random sample of the training data (a function of its size alone), in batches of similar lengths. */
function sampleBatches(train: TokenDataset, count: number, padId: number): Batch[] {
  const place = createPermutation({ seed: 0, epoch: 0, numSamples: train.numSamples, stream: 244 })
  const picked = Array.from({ length: Math.min(count, train.numSamples) }, (_, i) => place(i))
  picked.sort((a, b) => train.length(a) - train.length(b) || a - b)
  const batches: Batch[] = []
  for (let start = 0; start < picked.length; start += 16) {
    const rows = picked.slice(start, start + 16).map((i) => [i])
    batches.push(buildBatch(rows, train, { padId, packing: false }))
  }
  return batches
}

function embedAndMeasure(
  model: CausalLM,
  {
    batches: anchors,
    documents,
  }: { readonly batches: readonly Batch[]; readonly documents: readonly Document[] },
  training: readonly Batch[],
  config: RunConfig,
  onProgress: (text: string) => void,
) {
  const signal = signalOf(config)
  const dtype = autocastDtype(config.training.bf16, model.device)
  let numEmbedded = 0
  const embed = (batch: Batch): Tensor =>
    scope(() => {
      numEmbedded += batch.samples.length
      onProgress(`embedding: ${numEmbedded.toLocaleString('en')} texts`)
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device), { autocastDtype: dtype })
      return poolHidden(hidden_BTD, batch, signal)
    })
  return noGrad(() =>
    scope(() => {
      const pooled_VD = cat(anchors.map(embed))
      const pooled_ND = cat(training.map(embed))
      const scorer = new AnchorScorer({
        aggregate: signal.aggregate,
        lseBeta: signal.lse_beta,
        center: signal.center,
        centroidEma: 1,
      })
      if (signal.center) scorer.setMean(() => mean(pooled_ND, 0), anchors)
      scorer.setAnchors(() => clone(pooled_VD), anchors)
      const scores = scorer.rescore(pooled_ND)
      const tasks = anchorTasks(anchors)
      const unit_VD = scorer.unit(pooled_VD)
      const samples = anchors.flatMap((batch) => batch.samples)
      const tokensOf = (task: number) =>
        samples.reduce((total, { numTokens }, v) => total + (tasks.of[v] === task ? numTokens : 0), 0)
      const center_D = mean(unit_VD, 0)
      const cosines = nn
        .dotRows(unit_VD, center_D)
        .toFloat64Array()
        .map((dot) => dot / lengthOf(center_D))
      const sources = training.flatMap((batch) => batch.samples.map(({ source }) => source))
      const diagnostics = {
        ...scorer.diagnostics(anchors, undefined, pooled_ND),
        ...sourceFigures(scores, sources, scorer.halves(anchors, pooled_ND)),
      }
      scorer.dispose()
      return {
        centered: signal.center,
        aggregate: signal.aggregate,
        numAnchors: documents.length,
        numTokens: samples.reduce((total, { numTokens }) => total + numTokens, 0),
        tasks: tasks.names.map((task, k) => ({ task, anchors: tasks.counts[k]!, tokens: tokensOf(k) })),
        numSamples: pooled_ND.shape[0]!,
        diagnostics,
        sources: bySource(sources, scores),
        anchors: placeAnchors(
          documents,
          tasks.of.map((task) => tasks.names[task]!),
          cosines,
        ),
      }
    }),
  )
}

/** The signal of the config; that of ADAPT when its method has none. */
function signalOf({ method }: RunConfig): EmbeddingConfig {
  const { signal } =
    method.signal.kind === 'model-embedding' ? method : resolveMethod({ preset: 'adapt' }, () => {})
  return signal as EmbeddingConfig
}

function bySource(sources: readonly string[], scores: Float64Array): SourceScores[] {
  return [...new Set(sources)]
    .map((source): SourceScores => {
      const own = scores.filter((_, i) => sources[i] === source).sort()
      const quantile = (q: number) => own[Math.round(q * (own.length - 1))]!
      return {
        source,
        samples: own.length,
        mean: own.reduce((total, score) => total + score, 0) / own.length,
        quantiles: [quantile(0.05), quantile(0.5), quantile(0.95)],
      }
    })
    .sort((a, b) => b.mean - a.mean)
}

function placeAnchors(
  documents: readonly Document[],
  tasks: readonly string[],
  cosines: Float64Array,
): PlacedAnchor[] {
  return documents
    .map(({ path, line, content }, v) => ({
      place: `${path}:${line}`,
      task: tasks[v]!,
      cosine: cosines[v]!,
      text: contentText(content).slice(0, 400),
    }))
    .sort((a, b) => b.cosine - a.cosine)
}
