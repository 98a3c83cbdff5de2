/**
 * Speed of the hashed n-grams of DSIR, as the method `dsir` counts them before training.
 *
 *   npm run bench:dsir -- [--mb 50] [--path FILE.jsonl[.gz] --field text]
 *
 * Text is made up unless a file is named: frequencies of words as in language (Zipf), with marks, and one word in each text that no other has. It is
 * in memory before the clock starts. The first pass hashes what it has not seen, the second remembers much of it, as the two passes of a preparation
 * do. The last line is one JSON object: MB of UTF-8 a second of processor time in each pass, the peak of resident memory in MB. Exit code 1 below 2 MB/s.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { readOptions } from './read-options.js'
import { zipfTexts } from './zipf-texts.js'

type Module = typeof import('../packages/adapt/dist/signal/dsir/gram-scanner.js')

const args = readOptions(import.meta.url, {
  mb: { type: 'string', default: '50' },
  path: { type: 'string' },
  field: { type: 'string', default: 'text' },
})
const MIN_MB_PER_SECOND = 2
const NUM_WORDS = 200

const texts = args.path === undefined ? madeUp(Number(args.mb)) : fromFile(args.path, args.field)
const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6
const { GramScanner } = (await import(
  new URL('../../packages/adapt/dist/signal/dsir/gram-scanner.js', import.meta.url).href
)) as Module
const scanner = new GramScanner(2, 10_000)
const count_F = new Float64Array(10_000)
const rates = [0, 1].map(() => {
  const before = process.cpuUsage()
  let numGrams = 0
  for (const text of texts) {
    const found = scanner.scan(text).numGrams
    for (let i = 0; i < found; i++) count_F[scanner.bucket[i]!]!++
    numGrams += found
  }
  const { user, system } = process.cpuUsage(before)
  return { rate: megabytes / ((user + system) / 1e6), numGrams }
})
console.log(`${texts.length} texts, ${megabytes.toFixed(1)} MB, ${rates[0]!.numGrams} n-grams`)
console.log(
  JSON.stringify({
    mb_per_second: Number(rates[0]!.rate.toFixed(1)),
    mb_per_second_again: Number(rates[1]!.rate.toFixed(1)),
    peak_mb: Math.round(process.resourceUsage().maxRSS / 1000),
  }),
)
process.exitCode = rates.every(({ rate }) => rate >= MIN_MB_PER_SECOND) ? 0 : 1

function madeUp(mb: number): string[] {
  if (!(mb >= 1)) throw new Error('expected --mb of at least 1')
  const { texts } = zipfTexts({ numWords: NUM_WORDS, joints: [' ', ' ', ' ', ', ', '. ', "'"] })
  const found: string[] = []
  for (const { text } of texts(Math.ceil((mb * 1e6) / (NUM_WORDS * 8)))) found.push(text)
  return found
}

function fromFile(path: string, field: string): string[] {
  const bytes = readFileSync(path)
  const lines = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n')
  return lines.map((line) => (JSON.parse(line) as Record<string, string>)[field]!)
}
