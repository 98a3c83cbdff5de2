import { pythonRegExp } from '../chat-template/index.js'

/** What a model wrote and the text, or the texts, that it should have written. */
export type WrittenPair = readonly [right: string | readonly string[], written: string]

/** As Python's. */
const BLANKS = pythonRegExp('\\s+', 'g')
const MAX_WORDS = 4
const MAX_CHARACTERS = 6
/** How much more recall counts than precision. */
const BETA = 2

type Counts = ReadonlyMap<string, number>

/**
 * BLEU of a corpus, 0 to 100, as sacrebleu computes it by default: words of mteval-v13a, n-grams of 1 to 4 words, the brevity penalty
 * over the whole corpus, 1 / 2^k in place of the k-th order without a match.
 *
 *   BLEU = min(1, exp(1 - r / c)) * exp(sum_n ln(100 p_n) / 4)
 *
 * with c words written, and r words of the right text that is nearest in length.
 */
export function corpusBleu(pairs: readonly WrittenPair[]): number {
  const all = sumOf(pairs.map(bleuStatistics))
  const [numWritten, numRight] = all as [number, number]
  const matches = all.slice(2, 2 + MAX_WORDS)
  const totals = all.slice(2 + MAX_WORDS)
  if (matches.every((count) => count === 0)) return 0
  let divisor = 1
  let sum = 0
  for (const [i, total] of totals.entries()) {
    // Nothing of this length was written.
    if (total === 0) return 0
    if (matches[i] === 0) divisor *= 2
    sum += Math.log((100 * (matches[i] || 1 / divisor)) / total)
  }
  const penalty = numWritten < numRight ? Math.exp(1 - numRight / numWritten) : 1
  return penalty * Math.exp(sum / MAX_WORDS)
}

/**
 * chrF2 of a corpus, 0 to 100, as sacrebleu computes it by default: n-grams of 1 to 6 characters without white space; of several right
 * texts the one that is best for a document.
 *
 *   chrF = 100 (1 + b²) P R / (b² P + R)
 *
 * with b = 2, and P and R the means of precision and recall over the orders that both have.
 */
export function corpusChrf(pairs: readonly WrittenPair[]): number {
  return chrfOf(sumOf(pairs.map(chrfStatistics)))
}

/** Statistics of pairs that are looked at again and again in a bootstrap. */
const known = { bleu: new WeakMap<WrittenPair, number[]>(), chrf: new WeakMap<WrittenPair, number[]>() }

/** Words written and right; matches and n-grams written by order. */
function bleuStatistics(pair: WrittenPair): number[] {
  const found = known.bleu.get(pair)
  if (found !== undefined) return found
  const written = wordsOf(pair[1])
  const right = [pair[0]].flat().map(wordsOf)
  const nearest = right
    .map(({ length }) => length)
    .reduce((best, length) => {
      const [a, b] = [Math.abs(length - written.length), Math.abs(best - written.length)]
      return a < b || (a === b && length < best) ? length : best
    })
  const orders = Array.from({ length: MAX_WORDS }, (_, i) => {
    const counts = countGrams(written, i + 1, ' ')
    const rights = right.map((words) => countGrams(words, i + 1, ' '))
    const most = (gram: string) => Math.max(...rights.map((one) => one.get(gram) ?? 0))
    return { matches: matchesOf(counts, most), total: Math.max(0, written.length - i) }
  })
  const statistics = [
    ...[written.length, nearest],
    ...orders.map(({ matches }) => matches),
    ...orders.map(({ total }) => total),
  ]
  known.bleu.set(pair, statistics)
  return statistics
}

/** By order: n-grams written, n-grams of the right text, matches. */
function chrfStatistics(pair: WrittenPair): number[] {
  const found = known.chrf.get(pair)
  if (found !== undefined) return found
  const charactersOf = (text: string) => Array.from(text.replace(BLANKS, ''))
  const written = charactersOf(pair[1])
  let best = { score: -1, statistics: [] as number[] }
  for (const text of [pair[0]].flat()) {
    const right = charactersOf(text)
    const statistics = Array.from({ length: MAX_CHARACTERS }, (_, i) => {
      const rights = countGrams(right, i + 1, '')
      const numRight = Math.max(0, right.length - i)
      // What is longer than all of the right text cannot be right or wrong.
      const numWritten = numRight === 0 ? 0 : Math.max(0, written.length - i)
      return [
        numWritten,
        numRight,
        matchesOf(countGrams(written, i + 1, ''), (gram) => rights.get(gram) ?? 0),
      ]
    }).flat()
    const score = chrfOf(statistics)
    if (score > best.score) best = { score, statistics }
  }
  known.chrf.set(pair, best.statistics)
  return best.statistics
}

function chrfOf(statistics: readonly number[]): number {
  let [precision, recall, orders] = [0, 0, 0]
  for (let i = 0; i < statistics.length; i += 3) {
    const [numWritten, numRight, matches] = statistics.slice(i, i + 3) as [number, number, number]
    if (numWritten === 0 || numRight === 0) continue
    precision += matches / numWritten
    recall += matches / numRight
    orders += 1
  }
  if (precision + recall === 0) return 0
  const [p, r] = [precision / orders, recall / orders]
  return (100 * (1 + BETA ** 2) * p * r) / (BETA ** 2 * p + r)
}

function countGrams(parts: readonly string[], length: number, between: string): Counts {
  const counts = new Map<string, number>()
  for (let i = 0; i + length <= parts.length; i++) {
    const gram = parts.slice(i, i + length).join(between)
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

function matchesOf(counts: Counts, most: (gram: string) => number): number {
  let matches = 0
  for (const [gram, count] of counts) matches += Math.min(count, most(gram))
  return matches
}

function sumOf(lists: readonly (readonly number[])[]): number[] {
  return lists[0]!.map((_, i) => lists.reduce((sum, list) => sum + list[i]!, 0))
}

/** Marks of text that stand for others, by mteval-v13a. */
const ENTITIES = [
  ['<skipped>', ''],
  ['-\n', ''],
  ['\n', ' '],
  ['&quot;', '"'],
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
] as const

/** Words and marks of a text as mteval-v13a cuts them. */
function wordsOf(text: string): string[] {
  const plain = ENTITIES.reduce((rest, [mark, letter]) => rest.replaceAll(mark, letter), text.trimEnd())
  return ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
    .split(BLANKS)
    .filter(Boolean)
}
