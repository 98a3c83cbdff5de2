/** B rows, T positions, N tokens that are predicted. */
import { type DType, scope } from '@adapt-ts/torch'
import { type Batch, IGNORED_LABEL } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { chunkedTokenLosses, labelledPositions } from '../loss/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import type { SourceEvaluation } from '../record/index.js'
import type { Tokenizer } from '../tokenize/index.js'

/** Windows and precision of an evaluation. */
export interface EvaluationOptions {
  /** Positions of a window. Default: what the model was made for. */
  readonly maxLength?: number
  readonly batchSize?: number
  readonly autocastDtype?: DType | undefined
  /** Asked between batches; true ends the evaluation without a result. */
  readonly isCancelled?: () => boolean
  /** Called after every group of documents. */
  readonly onProgress?: (numDocuments: number) => void
}

/** Bits per byte by source, and over all sources together (total nats / total bytes). */
export interface Evaluation {
  readonly sources: Readonly<Record<string, SourceEvaluation>>
  readonly all: SourceEvaluation
}

/** One window: `tokens` predict `labels`, which are the same text one position later. */
interface Window {
  readonly source: string
  readonly tokens: Int32Array
  readonly labels: Int32Array
}

interface Sums {
  nats: number
  tokens: number
  bytes: number
  documents: number
}

/** Documents held in memory at once; windows of one group are sorted by length to save padding. */
const GROUP_SIZE = 256

/**
 * Bits per byte = nats of every token / (ln 2 x UTF-8 bytes of the raw text). The first token is predicted from
 * BOS (or EOS); a long text is cut into non-overlapping windows with one token of context, so every token counts
 * once. Of a prompt and completion the completion counts, given the prompt.
 *
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75) when `isCancelled` said so.
 */
export async function evaluateText(
  model: CausalLM,
  tokenizer: Tokenizer,
  documents: AsyncIterable<Document>,
  options: EvaluationOptions = {},
): Promise<Evaluation> {
  const maxLength = Math.min(
    options.maxLength ?? model.config.maxPositionEmbeddings,
    model.config.maxPositionEmbeddings,
  )
  const sums = new Map<string, Sums>()
  let numDocuments = 0
  let group: Document[] = []
  const flush = async () => {
    const windows = (await encodeGroup(group, tokenizer, sums)).flatMap((encoded) =>
      cutWindows(encoded, maxLength),
    )
    scoreWindows(model, windows, options, sums)
    numDocuments += group.length
    options.onProgress?.(numDocuments)
    group = []
    await new Promise(setImmediate)
  }
  for await (const document of documents) {
    group.push(document)
    if (group.length === GROUP_SIZE) await flush()
  }
  if (group.length > 0) await flush()
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
  return { bits_per_byte: nats / (Math.LN2 * bytes), nats_per_token: nats / tokens, bytes, tokens, documents }
}

function sumsOf(source: string, sums: Map<string, Sums>): Sums {
  const found = sums.get(source) ?? { nats: 0, tokens: 0, bytes: 0, documents: 0 }
  sums.set(source, found)
  return found
}

/** Tokens of each document after its start token, with what is predicted; counts bytes and documents. */
async function encodeGroup(
  group: readonly Document[],
  tokenizer: Tokenizer,
  sums: Map<string, Sums>,
): Promise<Window[]> {
  const texts = group.filter(({ content }) => content.kind === 'text')
  const pairs = group.filter(({ content }) => content.kind === 'completion')
  const ids = await tokenizer.encodeBatch(
    texts.map(({ content }) => (content.kind === 'text' ? content.text : '')),
  )
  const encodedPairs = await tokenizer.encodeCompletions(
    pairs.map(({ content }) => (content.kind === 'completion' ? content : { prompt: '', completion: '' })),
  )
  const window = (document: Document, tokens: Int32Array, numPrompt: number, text: string): Window => {
    const part = sumsOf(document.source, sums)
    part.bytes += Buffer.byteLength(text, 'utf8')
    part.documents += 1
    const labels = tokens.slice()
    labels.fill(IGNORED_LABEL, 0, numPrompt)
    return {
      source: document.source,
      tokens: Int32Array.from([tokenizer.startId, ...tokens.subarray(0, -1)]),
      labels,
    }
  }
  return [
    ...texts.map((document, i) =>
      window(document, ids[i]!, 0, document.content.kind === 'text' ? document.content.text : ''),
    ),
    ...pairs.map((document, i) => {
      const { tokens, numPromptTokens } = encodedPairs[i]!
      return window(
        document,
        tokens,
        numPromptTokens,
        document.content.kind === 'completion' ? document.content.completion : '',
      )
    }),
  ]
}

function cutWindows({ source, tokens, labels }: Window, maxLength: number): Window[] {
  const windows: Window[] = []
  for (let start = 0; start < labels.length; start += maxLength) {
    windows.push({
      source,
      tokens: tokens.slice(start, start + maxLength),
      labels: labels.slice(start, start + maxLength),
    })
  }
  return windows
}

function scoreWindows(
  model: CausalLM,
  windows: readonly Window[],
  options: EvaluationOptions,
  sums: Map<string, Sums>,
): void {
  const { batchSize = 16, autocastDtype } = options
  const sorted = [...windows].sort((a, b) => b.tokens.length - a.tokens.length)
  for (let start = 0; start < sorted.length; start += batchSize) {
    if (options.isCancelled?.() === true) {
      throw new AdaptError('EVALUATION_CANCELLED', EXIT.resumable, 'the evaluation was cancelled')
    }
    const rows = sorted.slice(start, start + batchSize)
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
