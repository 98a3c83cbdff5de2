import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Bm25Options, Corpus, documentScorer, queryScorer } from './bm25.js'

const OKAPI: Bm25Options = { k1: 1.5, b: 0.75, idf: 'okapi', terms: 'ccds' }
const LUCENE: Bm25Options = { ...OKAPI, idf: 'lucene' }
const TEXTS = ['the cat sat', 'the dog sat on the mat', 'quantum physics exam', 'the history exam question']
const QUERIES = ['physics exam', 'history question exam']

function corpusOf(texts: readonly string[], options: Bm25Options): Corpus {
  const corpus = new Corpus(options)
  for (const text of texts) corpus.add(text)
  return corpus
}

function scoresOf(texts: readonly string[], queries: readonly string[], options: Bm25Options): number[] {
  const scorer = documentScorer(corpusOf(texts, options), queries, options)
  return texts.map((text) => scorer.score(text))
}

function expectClose(received: readonly number[], expected: readonly number[], digits = 5): void {
  expect(received.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, digits)
}

/** The equations term by term, with strings and for one query at a time. */
function scoresByHand(texts: readonly string[], queries: readonly string[], options: Bm25Options): number[] {
  const split = (text: string) =>
    options.terms === 'ccds'
      ? text
          .toLowerCase()
          .replaceAll('\n', ' ')
          .replace(/[!-/:-@[-`{-~]/g, '')
          .split(' ')
      : text.toLowerCase().split(/\s+/).filter(Boolean)
  const documents = texts.map(split)
  const vocabulary = new Set(documents.flat())
  const N = documents.length
  const avgdl = documents.flat().length / N
  const idf = new Map<string, number>()
  for (const term of vocabulary) {
    const n = documents.filter((document) => document.includes(term)).length
    const odds = (N - n + 0.5) / (n + 0.5)
    idf.set(term, options.idf === 'okapi' ? Math.log(odds) : Math.log(1 + odds))
  }
  const floor = (0.25 * [...idf.values()].reduce((a, b) => a + b, 0)) / idf.size
  const scores = documents.map(() => 0)
  for (const query of queries) {
    for (const term of split(query)) {
      let weight = idf.get(term) ?? 0
      if (options.idf === 'okapi' && weight < 0) weight = floor
      for (const [i, document] of documents.entries()) {
        const f = document.filter((word) => word === term).length
        const { k1, b } = options
        const K = k1 * (1 - b + (b * document.length) / avgdl)
        scores[i]! += (weight * f * (k1 + 1)) / (f + K) / queries.length
      }
    }
  }
  return scores
}

/** Text of every kind that a rule treats in its own way. */
function oddTexts(count: number): string[] {
  const words = [
    'The',
    'cat',
    'don’t',
    "don't",
    'ÉTÉ',
    '日本',
    'x_y',
    '3.5%',
    '',
    '--',
    'a\tb',
    'Straße',
    '\u2003',
    '🙂',
  ]
  let state = 1
  const next = (n: number) => {
    state = (state * 48271) % 2147483647
    return state % n
  }
  return Array.from({ length: count }, () =>
    Array.from(
      { length: next(20) },
      () => words[next(words.length)]! + [' ', ' ', '\n', '  '][next(4)]!,
    ).join(''),
  )
}

describe('documentScorer', () => {
  it('gives the worked Okapi means, with a quarter of the mean for a negative idf', () => {
    const corpus = corpusOf(TEXTS, OKAPI)
    expect(corpus.meanLength).toBe(4)
    const idf = corpus.idf()
    const at = (term: string) => {
      corpus.scanner.scan(term)
      return idf[corpus.table.find(corpus.scanner.low[0]!, corpus.scanner.high[0]!)]!
    }
    expect(at('the')).toBeCloseTo(0.134797, 6)
    expect(at('exam')).toBe(0)
    expect(at('sat')).toBe(0)
    expectClose(scoresOf(TEXTS, QUERIES, OKAPI), [0, 0, 0.477351, 0.847298])
  })

  it('gives the worked Lucene means', () => {
    expectClose(scoresOf(TEXTS, QUERIES, LUCENE), [0, 0, 1.459305, 1.89712])
  })

  it('equals the sum over queries term by term, for texts of every kind', () => {
    const texts = oddTexts(60)
    const queries = oddTexts(7)
    for (const idf of ['okapi', 'lucene'] as const) {
      for (const terms of ['ccds', 'whitespace'] as const) {
        const options = { k1: 1.2, b: 0.6, idf, terms }
        expectClose(scoresOf(texts, queries, options), scoresByHand(texts, queries, options), 9)
      }
    }
  })

  it('reproduces the figures of another package on real text', (context) => {
    const sample = fileURLToPath(
      new URL('../../../../../../shared/data/pretrain/sample.jsonl', import.meta.url),
    )
    if (!existsSync(sample)) context.skip('needs ../shared/data/pretrain/sample.jsonl beside the clone')
    const texts = readFileSync(sample, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text)
    const query = texts[0]!.slice(0, 300)
    const okapi = scoresOf(texts, [query], { ...OKAPI, terms: 'whitespace' })
    expectClose(okapi.slice(0, 5), [156.582269, 34.678755, 38.755348, 44.068123, 39.989438], 6)
    const best = [...okapi.keys()].sort((a, b) => okapi[b]! - okapi[a]!).slice(0, 6)
    expect(best).toEqual([0, 7, 22, 9, 17, 6])
    const lucene = scoresOf(texts, [query], { ...LUCENE, terms: 'whitespace' })
    expectClose(lucene.slice(0, 5), [144.942338, 16.780755, 23.44096, 26.172819, 23.242806], 6)
    expectClose(
      lucene.slice(0, 5).map((score) => score / 2.5),
      [57.976935, 6.712302, 9.376384, 10.469128, 9.297122],
      6,
    )
    expect(corpusOf(texts, { ...OKAPI, terms: 'whitespace' }).meanLength).toBeCloseTo(244.520833, 6)
  })
})

describe('queryScorer', () => {
  it('sums the anchors’ own BM25 over the set of a text’s terms', () => {
    const scorer = queryScorer(QUERIES, LUCENE)
    // |anchor| 2 and 3, avgdl 2.5; n(exam) = 2, n(others) = 1 of 2.
    const K = (length: number) => 1.5 * (0.25 + (0.75 * length) / 2.5)
    const part = (n: number, length: number) =>
      (Math.log(1 + (2 - n + 0.5) / (n + 0.5)) * 2.5) / (1 + K(length)) / 2
    const exam = part(2, 2) + part(2, 3)
    expect(scorer.score('quantum physics exam')).toBeCloseTo(exam + part(1, 2), 12)
    expect(scorer.score('exam exam exam')).toBeCloseTo(exam, 12)
    expect(scorer.score('the cat sat')).toBe(0)
  })
})
