import { closeSync, createReadStream, createWriteStream, openSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { Child, describeEnd } from '../support/child.mjs'
import { Tally } from '../support/figures.mjs'
import { sentence, Workshop } from '../support/workshop.mjs'

const MAX_EXTRA_MB = 256
const LEAST_SPEED = 0.8

export const streaming = {
  id: '16',
  title: 'A 10 GB file streams in constant memory',
  tested:
    'A generated JSONL file of 1 GB and the same as gzip, read with a JavaScript heap of 512 MB: resident memory over that at ' +
    'the start, speed of the last tenth against the first',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const size = mode === 'full' ? 1e9 : 4e7
    const records = writeCorpus(workshop.file('big.jsonl'), size)
    await pipeline(
      createReadStream(workshop.file('big.jsonl')),
      createGzip({ level: 1 }),
      createWriteStream(workshop.file('big.jsonl.gz')),
    )
    const figures = []
    for (const file of ['big.jsonl', 'big.jsonl.gz']) {
      const script = path.join(import.meta.dirname, '../support/read-all.mjs')
      const args = ['--max-old-space-size=512', script, workshop.root, file]
      const ended = await new Child(process.execPath, args, {}).ended
      if (!tally.add(file, ended.code !== 0 && describeEnd(ended))) continue
      const { count, extraMb, first, last } = JSON.parse(ended.stdout)
      tally.add(`${file}: records`, count !== records && `${count} of ${records}`)
      tally.add(`${file}: memory`, extraMb > MAX_EXTRA_MB && `${extraMb.toFixed(0)} MB over the start`)
      // The speed of a short read, or of a machine that others use, says nothing: it is printed only.
      const speed = last / first
      if (mode === 'full' && process.env.CI === undefined) {
        tally.add(
          `${file}: speed`,
          speed < LEAST_SPEED && `the last tenth at ${(100 * speed).toFixed(0)} % of the first`,
        )
      }
      figures.push(`${file}: +${extraMb.toFixed(0)} MB, ${first.toFixed(0)} -> ${last.toFixed(0)} MB/s`)
      rmSync(workshop.file(file))
    }
    return { ...tally, figure: `${(size / 1e9).toFixed(2)} GB. ${figures.join('; ')}` }
  },
}

/** Writes records until the file has the size; returns their number. */
function writeCorpus(file, size) {
  const descriptor = openSync(file, 'w')
  const block = Array.from({ length: 2000 }, (_, i) =>
    JSON.stringify({ text: Array.from({ length: 20 }, (_, k) => sentence(i * 31 + k)).join('. ') }),
  )
  const text = Buffer.from(`${block.join('\n')}\n`)
  let written = 0
  let records = 0
  for (; written < size; written += text.length, records += block.length) writeSync(descriptor, text)
  closeSync(descriptor)
  return records
}
