/** P texts, V queries. */
import { type Bm25Options, Corpus, documentScorer, queryScorer } from './bm25.js'

/** Texts by dense index, in any order; asked for again for each pass. */
export type TextSource = () => AsyncIterable<{ readonly index: number; readonly text: string }>

/** What {@link scoreTexts} scores, and how. */
export interface ScoreTextsOptions extends Bm25Options {
  /** Which side is the collection of documents: the texts (anchors are queries), or the anchors. */
  readonly roles: 'anchor_queries' | 'anchor_docs'
  /** Told now and then how many of how many texts were read, over all passes. */
  readonly progress?: (done: number, total: number) => void
}

const PROGRESS_EVERY = 8192

/**
 * Mean BM25 of each text over the queries. Texts are read one after another and not kept, twice where they are the documents: once for what all
 * of them together say of a term, once for the scores. Memory is 16 to 32 bytes a different term and 8 bytes a text.
 *
 * @returns float64 [P].
 */
export async function scoreTexts(
  texts: TextSource,
  numTexts: number,
  queries: readonly string[],
  { roles, progress, ...options }: ScoreTextsOptions,
): Promise<Float64Array> {
  const numPasses = roles === 'anchor_queries' ? 2 : 1
  let done = 0
  const each = async (visit: (index: number, text: string) => void) => {
    for await (const { index, text } of texts()) {
      visit(index, text)
      if (++done % PROGRESS_EVERY === 0) progress?.(done, numPasses * numTexts)
    }
  }
  const score_P = new Float64Array(numTexts)
  const corpus = new Corpus(options)
  if (roles === 'anchor_queries') await each((_, text) => corpus.add(text))
  const scorer =
    roles === 'anchor_queries' ? documentScorer(corpus, queries, options) : queryScorer(queries, options)
  await each((index, text) => {
    score_P[index] = scorer.score(text)
  })
  progress?.(numPasses * numTexts, numPasses * numTexts)
  return score_P
}
