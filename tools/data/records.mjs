// JSON Lines files, plain or gzipped, with the same bytes on every run.

import { readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'

/** Writes records one a line. A name ending in .gz is compressed, without time stamp or system in its header. */
export function writeRecords(path, records) {
  const bytes = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  if (!path.endsWith('.gz')) return writeFileSync(path, bytes)
  const packed = gzipSync(bytes, { level: 9 })
  packed.writeUInt32LE(0, 4) // modification time: none
  packed[9] = 255 // operating system: unknown
  return writeFileSync(path, packed)
}

/** Reads what {@link writeRecords} wrote. */
export function readRecords(path) {
  const raw = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(raw) : raw).toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}
