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
interface Mark {
  readonly bytes: number
  readonly ms: number
  /** CPU time of all threads. */
  readonly cpuMs: number
}
let first: Mark | undefined
const tenths: Mark[] = []
const dataset = await openTokenCache({
  files,
  tokenizer,
  maxLength: MAX_LENGTH,
  cacheDir: join(folder, 'cache'),
  ...(numWorkers === undefined ? {} : { numWorkers }),
  onProgress({ byteOffset }) {
    first ??= markAt(byteOffset)
    if (byteOffset >= ((tenths.length + 1) * numBytes) / 10) closeTenth(byteOffset)
  },
})
const built = performance.now()
if (tenths.length < 10) closeTenth(numBytes)
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
    last_tenth_speed_ratio: Math.round((1000 * speed(9, 'cpuMs')) / speed(0, 'cpuMs')) / 1000,
    last_tenth_wall_ratio: Math.round((1000 * speed(9, 'ms')) / speed(0, 'ms')) / 1000,
    mb_per_s: Math.round((10 * numBytes) / 1e3 / (built - begun)) / 10,
    rows_counted_ms: Math.round(counted - opened),
  }),
)

function markAt(bytes: number): Mark {
  const { user, system } = process.cpuUsage()
  return { bytes, ms: performance.now(), cpuMs: (user + system) / 1e3 }
}

function closeTenth(bytes: number): void {
  tenths.push(markAt(bytes))
  const i = tenths.length - 1
  const peak = residentMb('VmHWM') - start
  console.log(
    `tenth ${i + 1}: ${speed(i, 'ms').toFixed(2)} MB/s, ${speed(i, 'cpuMs').toFixed(2)} MB per CPU second, ${residentMb('VmRSS').toFixed(0)} MB resident, peak ${peak.toFixed(0)} MB above start`,
  )
}

/** MB a second of a tenth. */
function speed(i: number, clock: 'ms' | 'cpuMs'): number {
  const from = tenths[i - 1] ?? first!
  return (tenths[i]!.bytes - from.bytes) / 1e3 / (tenths[i]![clock] - from[clock])
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
