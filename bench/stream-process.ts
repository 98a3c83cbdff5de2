/** The measured process of stream.bench.ts. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildBatch, createRowStream, loadTokenizer, openTokenCache, resolveSources } from '@adapt-ts/adapt'
import { benchFolder } from './peer-process.js'

const { file, folder, numBytes, numWorkers } = JSON.parse(process.argv[2]!) as {
  readonly file: string
  readonly folder: string
  readonly numBytes: number
  readonly numWorkers?: number
}
const MAX_LENGTH = 1024
const NUM_BATCHES = 200

const tokenizer = loadTokenizer(join(benchFolder, '..', 'examples', 'tokenizer'))
const files = await resolveSources([{ path: file }], folder)
resetPeak()
const start = residentMb('VmRSS')
console.log(`start: ${start.toFixed(0)} MB resident`)

const begun = performance.now()
let firstMs = 0
const tenths: { readonly ms: number; readonly bytes: number }[] = []
const dataset = await openTokenCache({
  files,
  tokenizer,
  maxLength: MAX_LENGTH,
  cacheDir: join(folder, 'cache'),
  ...(numWorkers === undefined ? {} : { numWorkers }),
  onProgress({ byteOffset }) {
    const now = performance.now()
    firstMs ||= now
    if (byteOffset >= ((tenths.length + 1) * numBytes) / 10) closeTenth(now, byteOffset)
  },
})
const built = performance.now()
if (tenths.length < 10) closeTenth(built, numBytes)
console.log(
  `cache: ${dataset.numSamples} samples, ${dataset.numTokens} tokens, ${((built - begun) / 1e3).toFixed(0)} s in all`,
)

const opened = performance.now()
const options = { dataset, seed: 1, maxLength: MAX_LENGTH, packing: true }
const rows = createRowStream(options)
const numRows = rows.numRowsPerEpoch(0)
const counted = performance.now()
let numTokens = 0
for (let i = 0; i < NUM_BATCHES; i++) {
  const batch = buildBatch(rows.next(16).rows, dataset, { packing: true, maxLength: MAX_LENGTH, padId: 0 })
  numTokens += batch.samples.reduce((sum, s) => sum + s.numTokens, 0)
}
const read = performance.now()
console.log(
  `row stream: ${numRows} rows counted in ${(counted - opened).toFixed(0)} ms; ` +
    `${NUM_BATCHES} batches of 16 rows, ${numTokens} tokens, in ${(read - counted).toFixed(0)} ms`,
)
dataset.close()
console.log(
  JSON.stringify({
    peak_rss_mb_above_start: Math.round(residentMb('VmHWM') - start),
    last_tenth_speed_ratio: Math.round((1000 * speed(9)) / speed(0)) / 1000,
    mb_per_s: Math.round((10 * numBytes) / 1e3 / (built - begun)) / 10,
    rows_counted_ms: Math.round(counted - opened),
  }),
)

function closeTenth(ms: number, bytes: number): void {
  tenths.push({ ms, bytes })
  const i = tenths.length - 1
  const peak = residentMb('VmHWM') - start
  console.log(
    `tenth ${i + 1}: ${speed(i).toFixed(2)} MB/s, ${residentMb('VmRSS').toFixed(0)} MB resident, peak ${peak.toFixed(0)} MB above start`,
  )
}

/** MB/s of a tenth. */
function speed(i: number): number {
  const from = tenths[i - 1] ?? { ms: firstMs, bytes: 0 }
  return (tenths[i]!.bytes - from.bytes) / 1e3 / (tenths[i]!.ms - from.ms)
}

/** Resident memory now (VmRSS) or at its highest (VmHWM). Needs Linux. */
function residentMb(key: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(found![1]) / 1024
}

/** Loading the program is no part of the peak. */
function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}
