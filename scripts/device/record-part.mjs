// record-part.mjs FOLDER MERGED NAME CODE SECONDS LIMIT LOG: keeps the outcome of one part and writes all so far as one object.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const [folder, merged, name, code, seconds, limit, log] = process.argv.slice(2)

/** The last line that is a JSON object, or the whole text if it is one. */
function resultIn(text) {
  const lines = text.trimEnd().split('\n')
  for (const candidate of [...lines.slice(-3).reverse(), text]) {
    try {
      const value = JSON.parse(candidate)
      if (typeof value === 'object' && value !== null) return value
    } catch {
      // Not JSON.
    }
  }
  return undefined
}

const text = log && existsSync(log) ? readFileSync(log, 'utf8') : ''
const STATUS = { 0: 'ok', 124: 'timeout', 137: 'timeout', 'no-time': 'no time left' }
const status = STATUS[code] ?? 'failed'
const result = resultIn(text)
const part = {
  status,
  ...(status === 'failed' ? { exitCode: Number(code) } : {}),
  seconds: Number(seconds),
  limitSeconds: Number(limit),
  ...(result === undefined ? {} : { result }),
  ...(status === 'ok' && result !== undefined
    ? {}
    : {
        lastLines: text
          .trimEnd()
          .split('\n')
          .slice(-15)
          .map((line) => line.slice(0, 400)),
      }),
}
writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(part))

const pack = existsSync('pack.json') ? JSON.parse(readFileSync('pack.json', 'utf8')) : undefined
const recorded = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => [file.slice(0, -5), JSON.parse(readFileSync(path.join(folder, file), 'utf8'))]),
)
const { machine, end, ...parts } = Object.fromEntries(recorded)
const whole = {
  schema: 1,
  commit: pack?.commit,
  changed: pack?.changed,
  machine: machine?.result ?? machine,
  ...(end === undefined ? { unfinished: true } : { seconds: end.seconds }),
  parts,
}
writeFileSync(`${merged}.tmp`, `${JSON.stringify(whole)}\n`)
renameSync(`${merged}.tmp`, merged)
