import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { SafetensorsFile, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { currentSteps, readEvents } from '../record/index.js'
import { readLedger } from '../record/ledger-reader.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const main = fileURLToPath(new URL('../cli/main.js', import.meta.url))
const BASE = ['training.max_steps=6', 'evaluation.every_steps=3', 'training.save_steps=3']

interface Ended {
  readonly code: number | null
  readonly stderr: string
  readonly stdout: string
}

/** `adapt launch` on the common config; what it left is in the run's folder. */
async function launch(
  name: string,
  numRanks: number,
  set: readonly string[] = [],
  { flags = [], env = {} }: { flags?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const args = ['launch', '--nproc', String(numRanks), workshop.file('run.yaml'), ...flags]
  const sets = [...BASE, ...set].flatMap((one) => ['--set', one])
  const child = spawn(process.execPath, [main, ...args, ...sets, '--output-dir', workshop.runFolder(name)], {
    env: { ...process.env, OMP_NUM_THREADS: '1', ...env },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text) => (stdout += text))
  child.stderr.on('data', (text) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** Writes run.yaml and trains on one process. */
const alone = (name: string, set: readonly string[]) => workshop.train(name, [...BASE, ...set])

/** Relative distance of all parameters of two published models. */
function distance(a: string, b: string, file = 'model/model.safetensors'): number {
  using first = new SafetensorsFile(path.join(workshop.runFolder(a), file))
  using second = new SafetensorsFile(path.join(workshop.runFolder(b), file))
  expect(second.names).toEqual(first.names)
  let [difference, size] = [0, 0]
  for (const name of first.names) {
    scope(() => {
      const [x, y] = [first, second].map((of) => of.read(name, 'cpu').toFloat64Array()) as [
        Float64Array,
        Float64Array,
      ]
      for (let i = 0; i < x.length; i++) {
        difference += (x[i]! - y[i]!) ** 2
        size += x[i]! ** 2
      }
    })
  }
  return Math.sqrt(difference / size)
}

const bytes = (name: string) =>
  readFileSync(path.join(workshop.runFolder(name), 'model', 'model.safetensors'))
const stepsOf = (name: string) =>
  currentSteps(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)

describe('two ranks', () => {
  const METHODS: readonly (readonly [string, readonly string[]])[] = [
    ['uniform', []],
    ['adapt-calibrated', ['method=adapt-calibrated', 'method.signal.refresh_every=2']],
    ['bm25', ['method=bm25']],
  ]

  it.each(METHODS)('train %s as one does', async (name, set) => {
    await alone(`${name}-one`, [...set, 'training.gradient_accumulation_steps=2'])
    const { code, stderr, stdout } = await launch(`${name}-two`, 2, set)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/2 ranks/)
    expect(distance(`${name}-two`, `${name}-one`)).toBeLessThan(1e-6)
    const [one, two] = [stepsOf(`${name}-one`), stepsOf(`${name}-two`)]
    expect(two.map(({ step, numTokensProcessed }) => [step, numTokensProcessed])).toEqual(
      one.map(({ step, numTokensProcessed }) => [step, numTokensProcessed]),
    )
    const ledgerOf = async (run: string) => {
      const rows: string[] = []
      for await (const row of readLedger(path.join(workshop.runFolder(run), 'ledger')))
        rows.push(`${row.step} ${row.sample} ${row.weight.toFixed(5)}`)
      return rows.sort()
    }
    expect(await ledgerOf(`${name}-two`)).toEqual(await ledgerOf(`${name}-one`))
    const parts = readdirSync(path.join(workshop.runFolder(`${name}-two`), 'ledger'))
    expect(new Set(parts.map((part) => /-r(\d+)\./.exec(part)![1]))).toEqual(new Set(['0', '1']))
  })

  it('give the same bits again, and after a stop', async () => {
    await launch('again', 2)
    expect(bytes('again').equals(bytes('uniform-two'))).toBe(true)
  })
})

describe('a rank that fails', () => {
  it('ends the job with its own exit code and a line that names it', async () => {
    // Only one of them finds the file of its data changed.
    const { code, stderr } = await launch('failed', 2, [
      'training.learning_rate=1e30',
      'training.max_grad_norm=null',
    ])
    expect(code).toBe(4)
    expect(stderr).toMatch(/NOT_FINITE|not finite/)
    expect(existsSync(path.join(workshop.runFolder('failed'), 'failure.json'))).toBe(true)
  })
})

writeFileSync(workshop.file('unused'), '')
