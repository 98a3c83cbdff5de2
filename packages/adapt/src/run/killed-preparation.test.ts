import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { currentEvents, readEvents } from '../record/index.js'
import { computeRunFigures } from '../report/run-figures.js'
import { readReportRun } from '../run-report/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const FIXTURE = fileURLToPath(new URL('killed-run.test.fixture.js', import.meta.url))
/** Two proxies of eight steps, and the token losses of a reference between them. */
const SETTINGS = [
  'method={ preset: doremi, signal: { proxy_steps: 0.8 } }',
  'training={ max_steps: 10, per_device_train_batch_size: 2, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 3 }',
  'evaluation={}',
]

const settingsOf = (cache: string) => [...SETTINGS, `data.cache_dir=${cache}`]

/** The folder of the one artefact in a cache. */
function artefactFolder(cache: string): string {
  const prepared = workshop.file(`${cache}/prepared`)
  const names = readdirSync(prepared)
  expect(names).toHaveLength(1)
  return path.join(prepared, names[0]!)
}

/** Everything of an artefact but how long it took. */
function artefactOf(cache: string): unknown {
  const whole = path.join(artefactFolder(cache), 'whole')
  const names = readdirSync(whole).sort()
  const { seconds, ...facts } = JSON.parse(readFileSync(path.join(whole, 'artefact.json'), 'utf8'))
  expect(typeof seconds).toBe('number')
  const hashed = names
    .filter((name) => !['artefact.json', 'manifest.json'].includes(name))
    .map((name) => [name, hashOf(path.join(whole, name))])
  return { names, facts, hashed }
}

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')
const modelOf = (name: string): string =>
  hashOf(path.join(workshop.runFolder(name), 'model', 'model.safetensors'))
const eventsOf = (name: string) => readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events
const stepsOf = (name: string) =>
  currentEvents(eventsOf(name)).flatMap((event) => (event.type === 'step' ? [event.step] : []))

/** Runs the same config in a process of its own, which sends itself a signal. */
function runAndKill(name: string, cache: string, signal: NodeJS.Signals, line: string) {
  const set = [...settingsOf(cache), `output_dir=${workshop.runFolder(name)}`]
  return spawnSync(process.execPath, [FIXTURE, workshop.file('run.yaml'), signal, line, ...set], {
    encoding: 'utf8',
    timeout: 60_000,
  })
}

describe('a run whose method prepares', () => {
  beforeAll(async () => {
    await workshop.train('control', settingsOf('control-cache'))
  })

  it.each([
    ['SIGKILL', 'reference: step'],
    ['SIGKILL', 'preparing reference'],
    ['SIGKILL', 'proxy: step'],
    ['SIGTERM', 'reference: step'],
    ['SIGTERM', 'proxy: step'],
  ] as const)('goes on after %s at "%s", to the same artefact, cost and model', async (signal, line) => {
    const name = `${signal}-${line.replaceAll(/[: ]+/g, '-')}`
    const { status, signal: killedBy, stderr } = runAndKill(name, name, signal, line)
    if (signal === 'SIGKILL') expect(killedBy).toBe('SIGKILL')
    else
      expect({ status, stderr }).toMatchObject({
        status: 75,
        stderr: `SIGTERM came; the run ended before the first step; ${workshop.runFolder(name)} can go on\n`,
      })
    expect(existsSync(path.join(artefactFolder(name), 'whole'))).toBe(false)
    await workshop.train(name, settingsOf(name))
    expect(artefactOf(name)).toEqual(artefactOf('control-cache'))
    expect(readdirSync(artefactFolder(name))).toEqual(['whole'])
    expect(modelOf(name)).toBe(modelOf('control'))
  })

  it('finds what was prepared when it goes on, and ends at the same model', async () => {
    await workshop.train('halves', settingsOf('halves-cache'), { stopAfterStep: 5 })
    const { lines } = await workshop.train('halves', settingsOf('halves-cache'))
    expect(lines.filter((line) => /^(reference|proxy): step/.test(line))).toEqual([])
    expect(stepsOf('halves')).toEqual(Array.from({ length: 10 }, (_, i) => i + 1))
    expect(modelOf('halves')).toBe(modelOf('control'))
    const prepared = eventsOf('halves').flatMap((event) => (event.type === 'prepared' ? [event] : []))
    expect(prepared.map(({ isCached }) => isCached)).toEqual([false, true])
    expect(prepared[1]!.flops).toBe(prepared[0]!.flops)
    expect(prepared[0]!.flops).toBeGreaterThan(0)
    const report = await readReportRun(workshop.runFolder('halves'))
    expect(computeRunFigures(report).flopsPreparation).toBe(prepared[0]!.flops)
  })

  it('makes it again when it is gone, to the same model', async () => {
    await workshop.train('gone', settingsOf('gone-cache'), { stopAfterStep: 5 })
    rmSync(workshop.file('gone-cache'), { recursive: true })
    await workshop.train('gone', settingsOf('gone-cache'))
    expect(modelOf('gone')).toBe(modelOf('control'))
  })

  it('uses the same one under other settings of how a run is told about and saved', async () => {
    const { lines } = await workshop.train('told', [
      ...settingsOf('control-cache'),
      'training.save_steps=4',
      'training.logging_steps=3',
    ])
    expect(lines.join('\n')).toContain('found in')
    const other = await workshop.train('other', [
      ...settingsOf('control-cache'),
      'training.learning_rate=0.02',
    ])
    expect(other.lines.join('\n')).not.toContain('found in')
  })

  it('goes on with its own artefact alone, and from a run that drew its sources otherwise not at all', async () => {
    await workshop.train('trunk', [...settingsOf('control-cache'), 'method=uniform'], { stopAfterStep: 4 })
    const error = await workshop.failure('branch', [
      ...settingsOf('control-cache'),
      `training.resume_from_checkpoint=${workshop.runFolder('trunk')}/checkpoints/step-4`,
    ])
    expect(error).toMatchObject({ code: 'DATA_CHANGED', exitCode: 2, context: { changed: ['order'] } })
  })
})
