/** B rows, T positions, N tokens that are predicted. */
import { type Collective, type DType, scope } from '@adapt-ts/torch'
import { type Batch, IGNORED_LABEL } from '../batch/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { chunkedTokenLosses, labelledPositions } from '../loss/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import type { SourceEvaluation } from '../record/index.js'
import { bytesForPass, rowsThatFit } from './rows-that-fit.js'

/** Windows and precision of an evaluation. */
export interface EvaluationOptions {
  /** Positions of a window. Default: what the model was made for. */
  readonly maxLength?: number
  /** Windows of a pass, or `auto`: as many as half of the free memory holds. The result does not depend on it. Default 16. */
  readonly batchSize?: number | 'auto'
  readonly autocastDtype?: DType | undefined
  /** Asked between batches; true ends the evaluation without a result. */
  readonly isCancelled?: () => boolean
  /** Ranks that share the passes: each is called with the same documents, and gets the same figures. What `isCancelled` says must be the same, too. */
  readonly collective?: Collective
  /** Called after every group of documents. */
  readonly onProgress?: (numDocuments: number) => void
}

/** Bits per byte by source, and over all sources together (total nats / total bytes). */
export interface Evaluation {
  readonly sources: Readonly<Record<string, SourceEvaluation>>
  readonly all: SourceEvaluation
}

/** One window: `tokens` predict `labels`, which are the same text one position later. */
export interface Window {
  readonly source: string
  readonly tokens: Int32Array
  readonly labels: Int32Array
}

/** What is added up for one source. */
export interface Sums {
  nats: number
  tokens: number
  bytes: number
  documents: number
}

/** The figures of every source and of all together. */
export function toEvaluation(sums: ReadonlyMap<string, Sums>): Evaluation {
  const names = [...sums.keys()].sort()
  const total: Sums = { nats: 0, tokens: 0, bytes: 0, documents: 0 }
  for (const part of sums.values())
    for (const key of ['nats', 'tokens', 'bytes', 'documents'] as const) total[key] += part[key]
  return {
    sources: Object.fromEntries(names.map((name) => [name, summarise(sums.get(name)!)])),
    all: summarise(total),
  }
}

function summarise({ nats, tokens, bytes, documents }: Sums): SourceEvaluation {
  // Without a predicted token the nats are an empty sum, which is no measurement: 0 bits would be the best model.
  return {
    bits_per_byte: tokens > 0 && bytes > 0 ? nats / (Math.LN2 * bytes) : null,
    nats_per_token: tokens > 0 ? nats / tokens : null,
    ...{ bytes, tokens, documents },
  }
}

/** The sums of a source, made when they are not there. */
export function sumsOf(source: string, sums: Map<string, Sums>): Sums {
  const found = sums.get(source) ?? { nats: 0, tokens: 0, bytes: 0, documents: 0 }
  sums.set(source, found)
  return found
}

/**
 * Adds the nats of every labelled position of this rank's windows to the sums of its source; see {@link shareSums}.
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75) when `isCancelled` said so.
 */
export function scoreWindows(
  model: CausalLM,
  windows: readonly Window[],
  options: EvaluationOptions,
  sums: Map<string, Sums>,
): void {
  const { batchSize = 16, autocastDtype } = options
  const { rank, worldSize } = options.collective ?? { rank: 0, worldSize: 1 }
  requireWanted(options)
  const sorted = [...windows]
    .sort((a, b) => b.tokens.length - a.tokens.length)
    .filter((_, i) => i % worldSize === rank)
  const bytes = batchSize === 'auto' ? bytesForPass(model.device) : 0
  for (let start = 0, count = 0; start < sorted.length; start += count) {
    requireWanted(options)
    count =
      batchSize === 'auto'
        ? rowsThatFit(model, sorted[start]!.tokens.length, bytes, autocastDtype)
        : batchSize
    const rows = sorted.slice(start, start + count)
    scope(() => {
      const batch = toBatch(rows)
      const labelled = labelledPositions(batch, model.device)
      if (labelled.count === 0) return
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device), { autocastDtype })
      const loss_N = chunkedTokenLosses(labelled.select(hidden_BTD), model.headWeight, labelled.labels_N, {
        computeDtype: autocastDtype,
      })
      const losses = loss_N.toFloat32Array()
      for (const [n, row] of labelled.sampleOf.entries()) {
        const part = sumsOf(rows[row]!.source, sums)
        part.nats += losses[n]!
        part.tokens += 1
      }
    })
  }
}

function requireWanted({ isCancelled }: EvaluationOptions): void {
  if (isCancelled?.() === true)
    throw new AdaptError('EVALUATION_CANCELLED', EXIT.resumable, 'the evaluation was cancelled')
}

/** Sums over the ranks what each has scored; bytes and documents were counted by all of them. */
export function shareSums(sums: ReadonlyMap<string, Sums>, collective: Collective | undefined): void {
  if (collective === undefined || collective.worldSize === 1) return
  const parts = [...sums.keys()].sort().map((source) => sums.get(source)!)
  const totals = collective.allReduceNumbers(parts.flatMap(({ nats, tokens }) => [nats, tokens]))
  for (const [i, part] of parts.entries()) {
    part.nats = totals[2 * i]!
    part.tokens = totals[2 * i + 1]!
  }
}

/** One window a row, padded on the right. */
function toBatch(rows: readonly Window[]): Batch {
  const length = rows[0]!.tokens.length
  const size = rows.length * length
  const batch = {
    tokens_BT: new Int32Array(size),
    labels_BT: new Int32Array(size).fill(IGNORED_LABEL),
    segment_BT: new Int32Array(size).fill(-1),
    position_BT: new Int32Array(size),
  }
  for (const [b, { tokens, labels }] of rows.entries()) {
    batch.tokens_BT.set(tokens, b * length)
    batch.labels_BT.set(labels, b * length)
    for (let t = 0; t < tokens.length; t++) {
      batch.segment_BT[b * length + t] = b
      batch.position_BT[b * length + t] = t
    }
  }
  return { rows: rows.length, length, ...batch, samples: [] }
}
