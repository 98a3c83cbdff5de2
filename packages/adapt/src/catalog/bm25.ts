/** P samples of the pool. */
import type { Document } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import { defineMethod, defineSignal, oneOf, type PreparationTools, real } from '../method/index.js'
import { queryDocuments, scoreTexts } from '../signal/index.js'

/** Keeps a z-score finite where all scores are equal. */
const LEAST_SPREAD = 1e-8

/** s = the mean BM25 of a sample over the anchors, by words alone. */
export const bm25Signal = defineSignal({
  kind: 'bm25',
  about: 'BM25 between the words of a sample and those of the anchors, once before training',
  unit: 'sample',
  options: {
    k1: real({ min: 0, max: 1000 }, 1.5, 'How long further occurrences of a word count.'),
    b: real({ min: 0, max: 1 }, 0.75, 'How much length is held against a text.'),
    idf: oneOf(['okapi', 'lucene'], 'okapi', 'Weight of a word; that of Lucene is never negative.'),
    roles: oneOf(
      ['anchor_queries', 'anchor_docs'],
      'anchor_queries',
      'Whether the anchors are the queries and the samples the documents, or the other way round.',
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
    terms: oneOf(
      ['ccds', 'whitespace'],
      'ccds',
      'How text becomes words: without ASCII punctuation, split at single spaces; or split at white space.',
    ),
    scale: oneOf(
      ['raw', 'z'],
      'raw',
      'The score itself, or how many standard deviations it lies above the mean of the pool.',
    ),
  },
  needs: () => ({ anchors: true }),
  preparesAlone: true,
  async prepare({ scale, queries, indexed, ...options }, tools) {
    const score_P = await scoreTexts(
      () => textsOf(tools, indexed),
      tools.data.numSamples,
      queryTexts(tools.anchorDocuments, queries),
      { ...options, progress: (done, total) => tools.progress(done, total, 'texts read') },
    )
    if (score_P.every((score) => score === 0)) {
      throw new DataError(
        'NO_SHARED_WORDS',
        `anchors: expected words that stand in training samples too, found none of them in ${score_P.length} samples; ` +
          'are both in one language? method.signal.indexed: text reads responses too',
      )
    }
    const { mean, std } = momentsOf(score_P)
    const scaled = scale === 'z' ? score_P.map((score) => (score - mean) / (std + LEAST_SPREAD)) : score_P
    return { score_P: Float32Array.from(scaled), figures: { scoreMean: mean, scoreStd: std } }
  },
})

/** Offline selection by BM25, with the constants of Compute-Constrained Data Selection (arXiv 2410.16208). */
export const bm25 = defineMethod({
  id: 'bm25',
  about: 'trains on the share of the samples whose words fit the anchors best',
  page: 'docs/methods/bm25.md',
  signal: bm25Signal,
  gate: topFraction,
  apply: 'mask',
  preset: { signal: { queries: 'task' }, gate: { keep: 0.025 } },
})

/** One text for each query. @throws {ConfigError} NO_ANCHORS without any. */
export function queryTexts(anchors: readonly Document[], queries: 'anchor' | 'task'): string[] {
  if (anchors.length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
  return queryDocuments(anchors, queries).map(({ text }) => text)
}

async function* textsOf(tools: PreparationTools, indexed: 'prompt' | 'text') {
  for await (const { index, text, prompt } of tools.texts()) {
    yield { index, text: indexed === 'text' || prompt === '' ? text : prompt }
  }
}

/** Mean and population standard deviation. */
export function momentsOf(values: Float64Array): { readonly mean: number; readonly std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, std: Math.sqrt(squares / values.length) }
}
