import { createWriteStream, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { benchFolder } from './peer-process.js'

const PARAGRAPH_CHARACTERS = 400

/**
 * Writes a JSON Lines file of about `numBytes` bytes (before compression), the same at every call: paragraphs of the
 * example texts in random order, one source for each of them, lines of 60 bytes to 20 kB and one of 250 kB in a thousand.
 */
export async function writeStreamFile(
  file: string,
  numBytes: number,
  gzip: boolean,
): Promise<{ readonly numDocuments: number }> {
  let numDocuments = 0
  const count = (n: number): void => {
    numDocuments += n
  }
  const source = Readable.from(chunksOf(numBytes, count), { objectMode: false, highWaterMark: 1 << 20 })
  const target = createWriteStream(file, { flags: 'wx', highWaterMark: 1 << 20 })
  await (gzip ? pipeline(source, createGzip({ level: 1 }), target) : pipeline(source, target))
  return { numDocuments }
}

function* chunksOf(numBytes: number, onDocuments: (n: number) => void): Generator<Buffer> {
  const random = createRandom(20_240_229)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const paragraphs = readParagraphs()
  let numWritten = 0
  let lines: string[] = []
  let numPending = 0
  let numDocuments = 0
  while (numWritten < numBytes) {
    // Log-uniform lengths: short lines are many, long ones hold most of the text.
    const target = random() < 1e-3 ? 250_000 : 20 * 1000 ** random()
    const parts: string[] = []
    const { source, texts } = pick(paragraphs)
    for (let length = 0; length < target; length += parts.at(-1)!.length) parts.push(pick(texts))
    const line = JSON.stringify({ id: `d${numDocuments++}`, source, text: parts.join('\n').slice(0, target) })
    lines.push(line)
    numPending += line.length + 1
    numWritten += Buffer.byteLength(line) + 1
    if (numPending > 1 << 20 || numWritten >= numBytes) {
      onDocuments(lines.length)
      yield Buffer.from(`${lines.join('\n')}\n`)
      lines = []
      numPending = 0
    }
  }
}

/** The texts of examples/heldout in pieces, without characters outside ASCII: a cut could halve them. */
function readParagraphs(): { readonly source: string; readonly texts: readonly string[] }[] {
  const folder = join(benchFolder, '..', 'examples', 'heldout')
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl') && name !== 'noise.jsonl')
    .sort()
    .map((name) => {
      const records = readFileSync(join(folder, name), 'utf8').trim().split('\n')
      const all = records.map((line) => (JSON.parse(line) as { text: string }).text).join('\n')
      const ascii = all.replace(/[^\n -~]/g, ' ')
      return {
        source: name.slice(0, -'.jsonl'.length),
        texts: ascii.match(new RegExp(`[^]{1,${PARAGRAPH_CHARACTERS}}`, 'g'))!,
      }
    })
}

/** Numbers in [0, 1) from a 32-bit hash of a counter. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
  }
}
