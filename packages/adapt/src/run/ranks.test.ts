import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { SafetensorsFile, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { relativeDistance } from '../model/tiny-llama.test.fixture.js'
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

interface LaunchOptions {
  readonly flags?: readonly string[]
  /** Called every now and then while the job runs. */
  readonly watch?: (job: ChildProcess) => void
}

/** `adapt launch` on the common config; what it left is in the run's folder. */
async function launch(
  name: string,
  numRanks: number,
  set: readonly string[] = [],
  { flags = [], watch }: LaunchOptions = {},
): Promise<Ended> {
  const sets = [...BASE, ...set].flatMap((one) => ['--set', one])
  const job = spawn(
    process.execPath,
    [
      ...[main, 'launch', '--nproc', String(numRanks), workshop.file('run.yaml'), ...flags, ...sets],
      ...['--output-dir', workshop.runFolder(name)],
    ],
    { env: { ...process.env, OMP_NUM_THREADS: '1' } },
  )
  let [stdout, stderr] = ['', '']
  job.stdout.on('data', (text) => (stdout += text))
  job.stderr.on('data', (text) => (stderr += text))
  const timer = watch && setInterval(() => watch(job), 20)
  const [code] = (await once(job, 'close')) as [number | null]
  clearInterval(timer)
  return { code, stdout, stderr }
}

/** The process of a rank that a job has started. */
function rankOf(job: ChildProcess, rank: number): number | undefined {
  const children = readFileSync(`/proc/${job.pid}/task/${job.pid}/children`, 'utf8').trim().split(' ')
  return children.map(Number).find((pid) => {
    const environment = pid > 0 ? readFileSync(`/proc/${pid}/environ`, 'utf8') : ''
    return environment.split('\0').includes(`RANK=${rank}`)
  })
}

/** Does something once, when a run has this many steps. */
function whenAt(name: string, step: number, act: (job: ChildProcess) => void): (job: ChildProcess) => void {
  let isDone = false
  return (job) => {
    const log = path.join(workshop.runFolder(name), 'events.jsonl')
    if (isDone || !existsSync(log) || (stepsOf(name).at(-1)?.step ?? 0) < step) return
    isDone = true
    act(job)
  }
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
    ['uniform', ['anchors=[]']],
    ['adapt-calibrated', ['method=adapt-calibrated', 'method.signal.refresh_every=2']],
    // The model that is published is the average then.
    ['bm25', ['method=bm25', 'training.ema_decay=0.5', 'evaluation.weights=ema']],
    // Both ranks train its reference and score the pool with it.
    ['rho-1', ['method=rho-1', 'anchors=[]']],
    // Each trains proxies of its own.
    ['regmix', ['method=regmix', 'method.signal.proxies=10', 'anchors=[]']],
  ]

  it.each(METHODS)('train %s as one does', async (name, set) => {
    const cache = (of: string) => `data.cache_dir=cache-${name}-${of}`
    await alone(`${name}-one`, [...set, cache('one'), 'training.gradient_accumulation_steps=2'])
    const { code, stderr, stdout } = await launch(`${name}-two`, 2, [...set, cache('two')])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/2 ranks/)
    expect(distance(`${name}-two`, `${name}-one`)).toBeLessThan(1e-6)
    const [one, two] = [stepsOf(`${name}-one`), stepsOf(`${name}-two`)]
    expect(two.map(({ step, numTokensProcessed }) => [step, numTokensProcessed])).toEqual(
      one.map(({ step, numTokensProcessed }) => [step, numTokensProcessed]),
    )
    const ledgerOf = async (run: string) => {
      const rows: string[] = []
      for await (const part of readLedger(path.join(workshop.runFolder(run), 'ledger')))
        for (let i = 0; i < part.rows; i++)
          rows.push(`${part.step[i]} ${part.sample[i]} ${part.weight[i]!.toFixed(4)}`)
      return rows.sort()
    }
    expect(await ledgerOf(`${name}-two`)).toEqual(await ledgerOf(`${name}-one`))
  })

  it('give the same bits again, and ask benchmark tasks together that rank 0 alone reads', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => ({ begin: `the model ${i}`, end: ' reads data' }))
    writeFileSync(workshop.file('asked-0.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    // Rank 1 would look for data of its own, which is not there.
    for (const [folder, part] of [
      ['one', '0'],
      ['two', `$\{RANK}`],
    ] as const) {
      mkdirSync(workshop.file(folder))
      const of = (task: string, type: string) =>
        `task: ${task}\ndataset_path: ../asked-${part}.jsonl\ntest_split: test\noutput_type: ${type}\ndoc_to_text: begin\ndoc_to_target: end\n`
      writeFileSync(workshop.file(`${folder}/asked.yaml`), of('asked', 'loglikelihood'))
      const written = `${of('written', 'generate_until')}generation_kwargs: { max_gen_toks: 4, until: [".."] }\n`
      writeFileSync(workshop.file(`${folder}/written.yaml`), written)
    }
    const tasksIn = (folder: string) => `evaluation.tasks=[${folder}/asked.yaml, ${folder}/written.yaml]`
    const eventsOf = (name: string) =>
      readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events.flatMap((event) =>
        event.type === 'tasks' ? [event] : [],
      )
    const { code, stderr } = await launch('again', 2, ['anchors=[]', tasksIn('two')])
    expect([code, stderr]).toEqual([0, ''])
    expect(eventsOf('again').map(({ step }) => step)).toEqual([0, 3, 6])
    await alone('asked-alone', ['anchors=[]', tasksIn('one'), 'training.gradient_accumulation_steps=2'])
    const [together, apart] = ['again', 'asked-alone'].map((name) =>
      eventsOf(name).flatMap(({ figures }) => figures.map(({ value }) => value)),
    )
    expect(together!.length).toBeGreaterThan(3)
    expect(relativeDistance(together!, apart!)).toBeLessThan(1e-5)
    expect(bytes('again').equals(bytes('uniform-two'))).toBe(true)
    const parts = readdirSync(path.join(workshop.runFolder('again'), 'ledger'))
    expect(new Set(parts.map((part) => /-r(\d+)\./.exec(part)![1]))).toEqual(new Set(['0', '1']))
  })
})

describe('a job that is stopped', () => {
  const LONG = [
    'anchors=[]',
    'training.max_steps=60',
    'training.save_steps=25',
    'evaluation.every_steps=1000',
  ]

  it('saves on every rank, and goes on to the same bits, on fewer ranks to float32 rounding', async () => {
    const watch = (name: string) => whenAt(name, 8, (job) => job.kill('SIGTERM'))
    const ends = await Promise.all([
      launch('whole', 2, LONG),
      launch('stopped', 2, LONG, { watch: watch('stopped') }),
    ])
    const fewer = await launch('fewer', 2, LONG, { watch: watch('fewer') })
    expect([...ends, fewer].map(({ code }) => code)).toEqual([0, 75, 75])
    expect(stepsOf('stopped').length).toBeLessThan(60)
    expect((await launch('stopped', 2, LONG)).code).toBe(0)
    expect(bytes('stopped').equals(bytes('whole'))).toBe(true)
    const refused = await launch('fewer', 3, LONG)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('4 / (3 x 2) = 0.67 micro-batches')
    const alone = await launch('fewer', 1, LONG)
    expect(alone.code).toBe(0)
    expect(alone.stdout).toContain('2 -> 1 ranks: 2 micro-batches of 2 rows a rank keep the 4 rows of a step')
    expect(distance('fewer', 'whole')).toBeLessThan(1e-5)
  })

  it('ends with 6 where a rank is killed, naming it, and starts again to the same bits where it may', async () => {
    const kill = (name: string) => whenAt(name, 30, (job) => process.kill(rankOf(job, 1)!, 'SIGKILL'))
    const killed = await launch('killed', 2, LONG, { watch: kill('killed') })
    expect(killed.code).toBe(6)
    expect(killed.stderr).toMatch(/rank 1/)
    expect(killed.stderr).toContain('launch: rank 1 was ended by SIGKILL; the job ends')
    expect(existsSync(path.join(workshop.runFolder('killed'), 'failure.json'))).toBe(false)
    const restarted = await launch('restarted', 2, LONG, {
      flags: ['--max-restarts', '1'],
      watch: kill('restarted'),
    })
    expect(restarted.stderr).toContain('all ranks start again (1 of 1)')
    expect(restarted.code).toBe(0)
    expect(bytes('restarted').equals(bytes('whole'))).toBe(true)
  })
})

describe('a back end that the device of a run does not have', () => {
  it('is refused before the first step, on every rank', async () => {
    await alone('backend', ['training.ddp_backend=nccl'])
    const { code, stderr } = await launch('no-nccl', 2, ['training.ddp_backend=nccl', 'training.device=cpu'])
    expect(code).toBe(2)
    expect(stderr).toContain('training.ddp_backend: nccl is for CUDA devices, and rank ')
    expect(existsSync(path.join(workshop.runFolder('no-nccl'), 'checkpoints'))).toBe(false)
  })
})
