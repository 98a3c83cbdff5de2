/**
 * Memory and speed of making a token cache from a file much larger than memory should have to be.
 *
 *   npm run bench:stream -- [--mb 1000] [--format jsonl|gzip|both] [--workers N] [--heap 512] [--folder DIR]
 *
 * Writes a JSON Lines file of `--mb` MB (and the same as gzip), always the same bytes, into a temporary folder; makes
 * the token cache in a process of its own with a JavaScript heap of at most `--heap` MB; then makes the row stream over
 * it and reads batches. Prints a line per tenth of the file. The last line of the output is one JSON object with, for each
 * format, the peak of resident memory above that at the start, the speed of the last tenth over that of the
 * first (per CPU second, so that other programs on the machine do not count; by the clock beside it), and MB/s. Exit code 1 when memory grew by more than 256 MB or the speed fell below 80 %.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readOptions } from './read-options.js'
import { writeStreamFile } from './stream-file.js'

const args = readOptions(import.meta.url, {
  mb: { type: 'string', default: '1000' },
  format: { type: 'string', default: 'both' },
  workers: { type: 'string' },
  heap: { type: 'string', default: '512' },
  folder: { type: 'string', default: tmpdir() },
})
const MAX_GROWTH_MB = 256
const LEAST_SPEED_RATIO = 0.8
const numBytes = Number(args.mb) * 1e6
const formats = args.format === 'both' ? ['jsonl', 'gzip'] : [args.format]
if (!(numBytes >= 1e6) || !formats.every((f) => f === 'jsonl' || f === 'gzip')) {
  throw new Error('expected --mb of at least 1 and --format jsonl, gzip or both')
}

interface Figures {
  readonly peak_rss_mb_above_start: number
  readonly last_tenth_speed_ratio: number
  readonly mb_per_s: number
}

// A file and its cache at a time; tokens take 4 bytes, and text has fewer than one token per 3 bytes.
const { bavail, bsize } = statfsSync(args.folder)
const needed = 3 * numBytes
if (bavail * bsize < needed) {
  throw new Error(
    `${args.folder}: needs ${(needed / 1e9).toFixed(1)} GB of free disk, has ${((bavail * bsize) / 1e9).toFixed(1)}`,
  )
}

const results: Record<string, Figures> = {}
for (const format of formats) {
  const folder = mkdtempSync(join(args.folder, 'adapt-stream-'))
  try {
    const file = join(folder, format === 'gzip' ? 'data.jsonl.gz' : 'data.jsonl')
    const { numDocuments } = await writeStreamFile(file, numBytes, format === 'gzip')
    console.log(`${format}: ${(numBytes / 1e6).toFixed(0)} MB, ${numDocuments} records`)
    results[format] = await measure(file, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
const isGood = Object.values(results).every(
  (r) => r.peak_rss_mb_above_start <= MAX_GROWTH_MB && r.last_tenth_speed_ratio >= LEAST_SPEED_RATIO,
)
console.log(JSON.stringify({ mb: Number(args.mb), ...results }))
process.exitCode = isGood ? 0 : 1

/** Runs the measured process; its last line is the figures, the lines before are shown. */
async function measure(file: string, folder: string): Promise<Figures> {
  const program = fileURLToPath(new URL('./stream-process.js', import.meta.url))
  const input = JSON.stringify({
    file,
    folder,
    numBytes,
    ...(args.workers === undefined ? {} : { numWorkers: Number(args.workers) }),
  })
  const child = spawn(process.execPath, [`--max-old-space-size=${args.heap}`, program, input], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = ''
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) console.log(`  ${line}`)
    last = line
  }
  const code = child.exitCode ?? (await new Promise<number | null>((done) => child.once('exit', done)))
  if (code !== 0) throw new Error(`the measured process ended with code ${code}`)
  return JSON.parse(last) as Figures
}
