/** N documents, V queries; f counts of a term in a document. */
import { type TermRule, TermScanner } from './term-scanner.js'
import { TermTable } from './term-table.js'

/** How terms count. */
export interface Bm25Options {
  /** How fast further occurrences of a term in a document stop to matter. */
  readonly k1: number
  /** How much a document's length is held against it, in [0, 1]. */
  readonly b: number
  /**
   * `okapi`: ln(N - n + 0.5) - ln(n + 0.5), and where that is negative a quarter of its mean over all terms. `lucene`: ln(1 + (N - n + 0.5) / (n + 0.5)),
   * never negative.
   */
  readonly idf: 'okapi' | 'lucene'
  readonly terms: TermRule
}

const FLOOR_OF_MEAN = 0.25

/** Counts of the terms of a text: reused from text to text, so that a term's count costs no allocation. */
class TextCounts {
  /** Numbers of the terms that occur, without repeats, in order of appearance. */
  readonly present: number[] = []
  #count = new Uint32Array(1024)

  clear(): void {
    for (const term of this.present) this.#count[term] = 0
    this.present.length = 0
  }

  add(term: number): void {
    if (term >= this.#count.length) this.#count = grown(this.#count, term)
    if (this.#count[term]!++ === 0) this.present.push(term)
  }

  of(term: number): number {
    return this.#count[term]!
  }
}

/** What is known of a collection of documents that are looked at once, one after another. */
export class Corpus {
  readonly scanner: TermScanner
  readonly table = new TermTable()
  numDocuments = 0
  numTerms = 0
  /** n: in how many documents each term occurs. */
  #documents = new Uint32Array(1024)
  readonly #options: Bm25Options
  readonly #counts = new TextCounts()

  constructor(options: Bm25Options) {
    this.#options = options
    this.scanner = new TermScanner(options.terms)
  }

  /** @param visit  Told of each term that occurs in the document, and how often. */
  add(text: string, visit?: (term: number, count: number) => void): void {
    const { scanner, table } = this
    const counts = this.#counts
    const numTerms = scanner.scan(text)
    const { low, high } = scanner
    counts.clear()
    for (let i = 0; i < numTerms; i++) counts.add(table.add(low[i]!, high[i]!))
    if (table.size > this.#documents.length) this.#documents = grown(this.#documents, table.size)
    for (const term of counts.present) {
      this.#documents[term]!++
      visit?.(term, counts.of(term))
    }
    this.numDocuments++
    this.numTerms += numTerms
  }

  /** avgdl */
  get meanLength(): number {
    return this.numTerms / Math.max(1, this.numDocuments)
  }

  /** Weight of each term by its number: float64 [table.size]. */
  idf(): Float64Array {
    const N = this.numDocuments
    const documents = this.#documents.subarray(0, this.table.size)
    if (this.#options.idf === 'lucene') {
      return Float64Array.from(documents, (n) => Math.log(1 + (N - n + 0.5) / (n + 0.5)))
    }
    const idf = Float64Array.from(documents, (n) => Math.log(N - n + 0.5) - Math.log(n + 0.5))
    const floor = (FLOOR_OF_MEAN * idf.reduce((sum, value) => sum + value, 0)) / Math.max(1, idf.length)
    return idf.map((value) => (value < 0 ? floor : value))
  }
}

/** What is left of a term's count f in a document that is `relativeLength` times as long as the mean: f (k1 + 1) / (f + K). */
function saturated(count: number, relativeLength: number, { k1, b }: Bm25Options): number {
  return (count * (k1 + 1)) / (count + k1 * (1 - b + b * relativeLength))
}

/** Scores texts by how well they fit all queries at once. */
export interface TextScorer {
  score(text: string): number
}

/**
 * Okapi BM25 with the texts as documents, averaged over the queries. It is linear in the counts of a query, so all of them are one:
 *
 *   s(x) = sum over t of qbar(t) idf(t) f (k1 + 1) / (f + k1 (1 - b + b |x| / avgdl)),    qbar(t) = mean count of t in a query
 *
 * @param corpus  All texts that will be scored.
 */
export function documentScorer(corpus: Corpus, queries: readonly string[], options: Bm25Options): TextScorer {
  const { scanner, table, meanLength } = corpus
  const idf = corpus.idf()
  const asked = new TermTable()
  const weights: number[] = []
  for (const query of queries) {
    const numTerms = scanner.scan(query)
    for (let i = 0; i < numTerms; i++) {
      const [low, high] = [scanner.low[i]!, scanner.high[i]!]
      const known = table.find(low, high)
      if (known < 0) continue
      const term = asked.add(low, high)
      weights[term] = (weights[term] ?? 0) + idf[known]! / queries.length
    }
  }
  const weight = Float64Array.from(weights)
  const counts = new TextCounts()
  return {
    score(text) {
      const numTerms = scanner.scan(text)
      const { low, high } = scanner
      counts.clear()
      for (let i = 0; i < numTerms; i++) {
        const term = asked.find(low[i]!, high[i]!)
        if (term >= 0) counts.add(term)
      }
      const relativeLength = numTerms / meanLength
      let sum = 0
      for (const term of counts.present)
        sum += weight[term]! * saturated(counts.of(term), relativeLength, options)
      return sum
    },
  }
}

/**
 * The roles exchanged: anchors are the documents, and the set of a text's terms is the query. Averaged over the anchors; nothing is held against
 * long texts.
 *
 *   s(x) = sum over t in set(x) of idf(t) (1/V) sum over anchors of f (k1 + 1) / (f + k1 (1 - b + b |anchor| / avgdl))
 */
export function queryScorer(anchors: readonly string[], options: Bm25Options): TextScorer {
  const corpus = new Corpus(options)
  const { scanner, table } = corpus
  const seen: { readonly length: number; readonly counts: (readonly [term: number, count: number])[] }[] = []
  for (const anchor of anchors) {
    const before = corpus.numTerms
    const counts: (readonly [number, number])[] = []
    corpus.add(anchor, (term, count) => counts.push([term, count]))
    seen.push({ length: corpus.numTerms - before, counts })
  }
  const idf = corpus.idf()
  const weight = new Float64Array(table.size)
  for (const { length, counts } of seen) {
    for (const [term, count] of counts) {
      weight[term]! += (idf[term]! * saturated(count, length / corpus.meanLength, options)) / anchors.length
    }
  }
  const present = new TextCounts()
  return {
    score(text) {
      const numTerms = scanner.scan(text)
      const { low, high } = scanner
      present.clear()
      for (let i = 0; i < numTerms; i++) {
        const term = table.find(low[i]!, high[i]!)
        if (term >= 0) present.add(term)
      }
      let sum = 0
      for (const term of present.present) sum += weight[term]!
      return sum
    },
  }
}

function grown(values: Uint32Array, least: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * Math.max(values.length, least))
  larger.set(values)
  return larger
}
