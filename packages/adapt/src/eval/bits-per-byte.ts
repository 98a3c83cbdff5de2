import { IGNORED_LABEL } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import type { CausalLM } from '../model/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import {
  type Evaluation,
  type EvaluationOptions,
  type Sums,
  scoreWindows,
  sumsOf,
  toEvaluation,
  type Window,
} from './score-windows.js'

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
  return toEvaluation(sums)
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
