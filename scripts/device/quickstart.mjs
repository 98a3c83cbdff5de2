// quickstart.mjs --device D --folder DIR [--steps N]: the quickstart on a device and on the CPU at the same time, with
// both tables and what came out of both. The last line is one JSON object.
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    folder: { type: 'string', default: 'build/device-quickstart' },
    steps: { type: 'string' },
  },
})
const script = fileURLToPath(new URL('../quickstart.mjs', import.meta.url))
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

function run(name, device) {
  const folder = path.resolve(values.folder, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const steps = values.steps
    ? [
        `training.max_steps=${values.steps}`,
        `evaluation.every_steps=${values.steps}`,
        'evaluation.sets=[heldout/sql-commands.jsonl, heldout/noise.jsonl, heldout/python-code.jsonl]',
      ]
    : []
  const set = [...steps, `training.device=${device}`].flatMap((pair) => ['--set', pair])
  const threads = Math.max(1, Math.floor(os.availableParallelism() / 2))
  const child = spawn(process.execPath, [script, ...set], {
    cwd: folder,
    env: { ...process.env, ADAPT_NUM_THREADS: String(threads) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const chunks = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk))
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ folder, code, text: Buffer.concat(chunks).toString('utf8') }))
  })
}

/** What a run wrote: bits per byte by source, first and last loss, and its speed. */
function readRun(folder) {
  const events = readFileSync(path.join(folder, 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const steps = events.filter(({ type }) => type === 'step')
  const evaluations = readdirSync(path.join(folder, 'eval')).sort(
    (a, b) => Number(/\d+/.exec(a)) - Number(/\d+/.exec(b)),
  )
  const { sources } = JSON.parse(readFileSync(path.join(folder, 'eval', evaluations.at(-1)), 'utf8'))
  return {
    steps: steps.length,
    firstLoss: steps[0].lossWeighted,
    lastLoss: steps.at(-1).lossWeighted,
    medianStepMs: median(steps.map(({ stepMs }) => stepMs)),
    medianTokensPerSecond: Math.round(median(steps.map(({ tokensPerSecond }) => tokensPerSecond))),
    essRatio: steps.reduce((sum, { essRatio }) => sum + essRatio, 0) / steps.length,
    bitsPerByte: Object.fromEntries(
      Object.entries(sources).map(([name, { bits_per_byte }]) => [name, bits_per_byte]),
    ),
  }
}

function readRuns({ folder, code }) {
  if (code !== 0) return undefined
  const runs = path.join(folder, 'runs', 'quickstart')
  const methods = readdirSync(runs, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return Object.fromEntries(methods.map(({ name }) => [name, readRun(path.join(runs, name))]))
}

const table = (text) => text.slice(Math.max(0, text.indexOf('bits per byte of held-out'))).trimEnd()
const devices = values.device === 'cpu' ? ['cpu'] : [values.device, 'cpu']
const outcomes = await Promise.all(devices.map((device, i) => run(i === 0 ? 'device' : 'cpu', device)))
for (const [i, { code, text }] of outcomes.entries()) {
  console.log(`\n${i === 0 ? values.device : 'cpu, at the same time'}`)
  console.log(code === 0 ? table(text) : text.trimEnd().split('\n').slice(-12).join('\n'))
}
const [onDevice, onCpu] = outcomes.map(readRuns)
const relative = (a, b) => Math.abs(a - b) / Math.abs(b)
const pairs = Object.keys(onDevice ?? {}).filter((name) => onCpu?.[name] !== undefined)
const difference = (pick) => Math.max(...pairs.flatMap((name) => pick(onDevice[name], onCpu[name])))
console.log(
  JSON.stringify({
    device: onDevice,
    cpu: onCpu,
    ...(pairs.length === 0
      ? {}
      : {
          largestRelativeDifference: {
            firstLoss: difference((a, b) => [relative(a.firstLoss, b.firstLoss)]),
            bitsPerByte: difference((a, b) =>
              Object.keys(a.bitsPerByte).map((source) =>
                relative(a.bitsPerByte[source], b.bitsPerByte[source]),
              ),
            ),
          },
        }),
  }),
)
if (outcomes.some(({ code }) => code !== 0)) process.exitCode = 1
