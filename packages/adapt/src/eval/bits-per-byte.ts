import { IGNORED_LABEL } from '../batch/index.js'
import { type Document, printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { CausalLM } from '../model/index.js'
import {
  createDocumentEncoder,
  type DocumentEncoder,
  holdsStart,
  idOfToken,
  isLabel,
  type Tokenizer,
} from '../tokenize/index.js'
import {
  type Evaluation,
  type EvaluationOptions,
  type Sums,
  scoreWindows,
  shareSums,
  sumsOf,
  toEvaluation,
  type Window,
} from './score-windows.js'

/** Documents held in memory at once; windows of one group are sorted by length to save padding. */
const GROUP_SIZE = 256

/**
 * Bits per byte = nats of every token / (ln 2 x UTF-8 bytes of the raw text). The first token is predicted from
 * BOS (or EOS); a long text is cut into non-overlapping windows with one token of context, so every token counts
 * once. Of a prompt and completion the completion counts, given the prompt; of a conversation the trained tokens
 * count, and the bytes are those of the rendered text that they hold, special tokens left out.
 *
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75) when `isCancelled` said so. @throws {DataError} CHAT_REFUSED, and
 *   what `DocumentEncoder.encode` throws, for conversations.
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
  const encoder = createDocumentEncoder(tokenizer, 0)
  let numDocuments = 0
  let group: Document[] = []
  const flush = async () => {
    const windows = (await encodeGroup(group, tokenizer, encoder, sums)).flatMap((encoded) =>
      cutWindows(encoded, maxLength),
    )
    scoreWindows(model, windows, options, sums)
    numDocuments += group.length
    options.onProgress?.(numDocuments)
    group = []
    await new Promise(setImmediate)
  }
  try {
    for await (const document of documents) {
      group.push(document)
      if (group.length === GROUP_SIZE) await flush()
    }
    if (group.length > 0) await flush()
  } finally {
    await encoder.close()
  }
  shareSums(sums, options.collective)
  return toEvaluation(sums)
}

/** Tokens of each document after its start token, with what is predicted; counts bytes and documents. */
async function encodeGroup(
  group: readonly Document[],
  tokenizer: Tokenizer,
  encoder: DocumentEncoder,
  sums: Map<string, Sums>,
): Promise<Window[]> {
  const texts = group.flatMap(({ source, content }) =>
    content.kind === 'text' ? [{ source, prompt: '', completion: content.text }] : [],
  )
  const pairs = group.flatMap(({ source, content }) =>
    content.kind === 'completion' ? [{ source, ...content }] : [],
  )
  const chats = group.filter(({ content }) => content.kind === 'chat')
  const ids = await tokenizer.encodeBatch(texts.map(({ completion }) => completion))
  const encodedPairs = await tokenizer.encodeCompletions(pairs)
  const { bos_token = '', eos_token = '' } = tokenizer.chat.specialTokens
  const starts = new Map([
    [tokenizer.eosId, eos_token],
    ...(tokenizer.bosId === undefined ? [] : [[tokenizer.bosId, bos_token] as const]),
  ])
  const window = (source: string, text: string, tokens: Int32Array, numPrompt: number): Window => {
    const bytes = Buffer.byteLength(text, 'utf8')
    if (holdsStart(tokens, tokenizer)) {
      // The start that the text holds is context, as one of ours would be: neither predicted nor measured.
      const ids = tokens.subarray(0, 1)
      const start = numPrompt > 0 ? 0 : Buffer.byteLength(starts.get(ids[0]!) ?? '', 'utf8')
      count(sums, source, bytes - start)
      const rest = tokens.slice(1)
      rest.fill(IGNORED_LABEL, 0, Math.max(0, numPrompt - 1))
      return { source, tokens: tokens.slice(0, -1), labels: rest }
    }
    count(sums, source, bytes)
    const labels = tokens.slice()
    labels.fill(IGNORED_LABEL, 0, numPrompt)
    return { source, tokens: Int32Array.from([tokenizer.startId, ...tokens.subarray(0, -1)]), labels }
  }
  return [
    ...texts.map(({ source, completion }, i) => window(source, completion, ids[i]!, 0)),
    ...pairs.map(({ source, completion }, i) =>
      window(source, completion, encodedPairs[i]!.tokens, encodedPairs[i]!.numPromptTokens),
    ),
    ...(chats.length === 0 ? [] : await encodeChats(chats, encoder, sums)),
  ]
}

/** Conversations; the first token of one is its only context. */
async function encodeChats(
  chats: readonly Document[],
  encoder: DocumentEncoder,
  sums: Map<string, Sums>,
): Promise<Window[]> {
  const { tokens, lengths, trainedBytes, refused } = await encoder.encode(chats.map(({ content }) => content))
  for (const { document, code, problem } of refused) {
    const { path, line } = chats[document]!
    throw new DataError(code, `${printable(path)}:${line}: ${problem}`, { file: path, line })
  }
  let at = 0
  return chats.map(({ source }, i) => {
    const marked = tokens.subarray(at, at + lengths[i]!)
    at += lengths[i]!
    count(sums, source, trainedBytes[i]!)
    return {
      source,
      tokens: marked.map(idOfToken).slice(0, -1),
      labels: marked.map((token) => (isLabel(token) ? token : IGNORED_LABEL)).slice(1),
    }
  })
}

function count(sums: Map<string, Sums>, source: string, numBytes: number): void {
  const part = sumsOf(source, sums)
  part.bytes += numBytes
  part.documents += 1
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
