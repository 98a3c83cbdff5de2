/**
 * Time and memory of scoring a training set by BM25 against anchors, as the method `bm25` does before training.
 *
 *   npm run bench:bm25 -- [--samples 1000000] [--words 200] [--anchors 400] [--idf okapi|lucene]
 *
 * Samples are made up while they are read, always the same ones: frequencies of words as in language (Zipf), and one word that no other sample has.
 * Reading them without scoring is measured apart and stays in the figures. The last line is one JSON object: seconds by the clock and of processor
 * time, the peak of resident memory in MB, scored samples a second. Exit code 1 above 60 s of processor time a million samples or 1000 MB.
 */

import { readOptions } from './read-options.js'
import { zipfTexts } from './zipf-texts.js'

type ScoreTexts = typeof import('../packages/adapt/dist/signal/bm25/score-texts.js')

const args = readOptions(import.meta.url, {
  samples: { type: 'string', default: '1000000' },
  words: { type: 'string', default: '200' },
  anchors: { type: 'string', default: '400' },
  idf: { type: 'string', default: 'okapi' },
})
const [numSamples, numWords, numAnchors] = [args.samples, args.words, args.anchors].map(Number) as [
  number,
  number,
  number,
]
const { idf } = args
if (!(numSamples >= 1 && numWords >= 20 && numAnchors >= 1) || (idf !== 'okapi' && idf !== 'lucene')) {
  throw new Error(
    'expected --samples and --anchors of at least 1, --words of at least 20, --idf okapi or lucene',
  )
}
const MAX_SECONDS_PER_MILLION = 60
const MAX_MB = 1000

const { texts: made, words } = zipfTexts({ numWords })
const anchors = Array.from({ length: numAnchors }, () => words(numWords))
async function* texts() {
  yield* made(numSamples)
}

const { scoreTexts } = (await import(
  new URL('../../packages/adapt/dist/signal/bm25/score-texts.js', import.meta.url).href
)) as ScoreTexts
const reading = await measured(async () => {
  let sum = 0
  for await (const { text } of texts()) sum += text.charCodeAt(text.length - 1)
  return sum
})
const options = { k1: 1.5, b: 0.75, idf, terms: 'ccds', roles: 'anchor_queries' } as const
const scoring = await measured(() => scoreTexts(texts, numSamples, anchors, options))
if (!scoring.result.every((score) => score > 0)) throw new Error('a sample was not scored')
const peakMb = process.resourceUsage().maxRSS / 1000
console.log(`${numSamples} samples of ${numWords} words, ${numAnchors} anchors, idf ${idf}`)
console.log(
  `read once without scoring: ${reading.seconds.toFixed(1)} s (${reading.cpuSeconds.toFixed(1)} s of processor time)`,
)
console.log(
  JSON.stringify({
    samples: numSamples,
    seconds: Number(scoring.seconds.toFixed(1)),
    cpu_seconds: Number(scoring.cpuSeconds.toFixed(1)),
    peak_mb: Math.round(peakMb),
    samples_per_cpu_second: Math.round(numSamples / scoring.cpuSeconds),
  }),
)
const isGood =
  scoring.cpuSeconds <= (MAX_SECONDS_PER_MILLION * Math.max(numSamples, 1e5)) / 1e6 && peakMb <= MAX_MB
process.exitCode = isGood ? 0 : 1

async function measured<T>(fn: () => Promise<T>) {
  const start = performance.now()
  const cpu = process.cpuUsage()
  const result = await fn()
  const { user, system } = process.cpuUsage(cpu)
  return { result, seconds: (performance.now() - start) / 1e3, cpuSeconds: (user + system) / 1e6 }
}
