/** V queries. */
import { z } from 'zod'
import { type Batch, batchTokens } from '../batch/index.js'
import { contentText } from '../contamination/index.js'
import type { Document } from '../dataset/index.js'
import { defineSignal } from '../method/define-method.js'
import { oneOf, option, whole } from '../method/option-table.js'
import type { PreparationTools, TextTokenizer } from '../method/preparation.js'
import { SCORED } from '../method/scored-share.js'
import { similarityOptions, similarityScores } from './anchor-similarity.js'

/** In the place of a folder: the model of the config before training. */
const BASE = 'base'
const QUERY_ROWS = 16

/** s = cosine between the text of a sample and the anchors under an encoder. */
export const textEmbedding = defineSignal({
  kind: 'text-embedding',
  about: 'similarity of text to the anchors under an encoder; without one, under the model before training',
  unit: 'sample',
  options: {
    encoder: option(
      z.string().min(1),
      BASE,
      'Folder of a model of the families that can be trained, read with its own tokenizer; base: the model of the config before training.',
    ),
    pooling: oneOf(
      ['position_weighted', 'mean', 'last'],
      'position_weighted',
      'How the positions of a text become one vector; last: that of the end token, which is appended.',
    ),
    queries: oneOf(
      ['anchor', 'task'],
      'anchor',
      'What counts once: each anchor, or all anchors of a task (their source) as one text.',
    ),
    indexed: oneOf(
      ['prompt', 'text'],
      'prompt',
      'What of a sample is read: what comes before the first trained token (all of a plain text), or everything.',
    ),
    cleaning: oneOf(
      ['none', 'ccds'],
      'none',
      'ccds: lower case, newlines to spaces, without ASCII punctuation.',
    ),
    maxTokens: whole({ min: 2, max: 1_000_000 }, 256, 'Tokens of a text that are read, the first ones.'),
    ...similarityOptions('mean'),
    ...SCORED,
  },
  scoresPart: 'rest is left out',
  needs: () => ({ anchors: true }),
  readsModels: ({ encoder }): Readonly<Record<string, string>> => (encoder === BASE ? {} : { encoder }),
  cost: ({ maxTokens }, { params, paramsRead, samples, tokensPerPass, anchors, tokensPerAnchor }) => {
    const ofPool = Math.min(tokensPerPass, samples * maxTokens)
    const ofAnchors = anchors * Math.min(tokensPerAnchor, maxTokens)
    return { preparation: 2 * (paramsRead?.encoder ?? params) * (ofPool + ofAnchors), signal: 0 }
  },
  async prepare({ encoder, pooling, queries, indexed, cleaning, maxTokens, ...options }, tools) {
    const folder = encoder === BASE ? undefined : tools.modelFolder(encoder, 'method.signal.encoder')
    if (folder === undefined) {
      tools.warn(
        'method.signal.encoder: none is named, so the model before training embeds the text, which it was not trained to do',
      )
    }
    const tokenizer = tools.tokenizerOf(folder)
    const encode = (texts: readonly string[]) =>
      encodeTexts(cleaning === 'ccds' ? texts.map(cleanText) : texts, tokenizer, {
        maxTokens,
        endsText: pooling === 'last',
      })
    const asked = queryDocuments(tools.anchorDocuments, queries)
    const anchors = queryBatches(
      await encode(asked.map(({ text }) => text)),
      asked.map(({ source }) => source),
    )
    const samplesOf = async (indexes: readonly number[]) => {
      const encoded = await encode(await textsOf(tools, indexes, indexed))
      return encoded.map((tokens) => ({ tokens, labelMask: new Uint8Array(tokens.length) }))
    }
    return await tools.withModel(
      folder,
      (model) =>
        similarityScores(options, { model, anchors, samplesOf, pooling: { pooling, tokens: 'all' } }, tools),
      tokenizer,
    )
  },
})

/** One text for each query, and the task that it belongs to. */
export function queryDocuments(
  anchors: readonly Document[],
  queries: 'anchor' | 'task',
): readonly { readonly source: string; readonly text: string }[] {
  const each = anchors.map(({ source, content }) => ({ source, text: contentText(content) }))
  if (queries === 'anchor') return each
  const byTask = new Map<string, string[]>()
  for (const { source, text } of each) byTask.set(source, [...(byTask.get(source) ?? []), text])
  return [...byTask].map(([source, parts]) => ({ source, text: parts.join('\n') }))
}

/** Lower case, newlines to spaces, ASCII punctuation taken out. */
export function cleanText(text: string): string {
  return text
    .toLowerCase()
    .replaceAll('\n', ' ')
    .replace(/[!-/:-@[-`{-~]/g, '')
}

async function encodeTexts(
  texts: readonly string[],
  { startId, eosId, encodeBatch }: TextTokenizer,
  { maxTokens, endsText }: { readonly maxTokens: number; readonly endsText: boolean },
): Promise<Int32Array[]> {
  return (await encodeBatch(texts)).map((ids) => {
    const end = endsText ? [eosId] : []
    return Int32Array.from([startId, ...ids.subarray(0, maxTokens - 1 - end.length), ...end])
  })
}

/** Queries in their order: it is that of their turns. */
function queryBatches(encoded: readonly Int32Array[], sources: readonly string[]): Batch[] {
  const sequences = encoded.map((tokens, i) => ({ tokens, source: sources[i]! }))
  return Array.from({ length: Math.ceil(sequences.length / QUERY_ROWS) }, (_, b) =>
    batchTokens(sequences.slice(b * QUERY_ROWS, (b + 1) * QUERY_ROWS)),
  )
}

async function textsOf(
  tools: PreparationTools,
  indexes: readonly number[],
  indexed: 'prompt' | 'text',
): Promise<string[]> {
  const texts: string[] = []
  for await (const { text, prompt } of tools.texts(indexes))
    texts.push(indexed === 'text' || prompt === '' ? text : prompt)
  return texts
}
