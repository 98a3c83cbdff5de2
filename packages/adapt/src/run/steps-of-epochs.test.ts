import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { writeManifest } from '../checkpoint/manifest.js'
import { readLedger } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** 90 samples of one row each. */
const SAMPLES = 90

/** Settings of a run of 14 steps over 90 rows: batches of 4, two a step. */
const settings = (length: string, more = ''): string[] => [
  `training={ ${length}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.001, seed: 1, bf16: false, save_steps: 100${more} }`,
  'data.packing=false',
  'evaluation={}',
]
const BY_STEPS = settings('max_steps: 14')

/** Samples of each step, from the ledger. */
async function stepsOf(name: string): Promise<number[][]> {
  const steps: number[][] = []
  for await (const { step, sample } of readLedger(path.join(workshop.runFolder(name), 'ledger'))) {
    for (const [row, id] of sample.entries()) {
      const place = step[row]! - 1
      steps[place] ??= []
      steps[place].push(Number(id))
    }
  }
  return steps
}

describe('the steps of a run over epochs', () => {
  it('take rows of one epoch each, given by max_steps or by epochs alike', async () => {
    await workshop.train('by-steps', BY_STEPS)
    const steps = await stepsOf('by-steps')
    expect(steps.map(({ length }) => length)).toEqual([...new Array(11).fill(8), 2, 8, 8])
    expect(new Set(steps.slice(0, 12).flat()).size).toBe(SAMPLES)
    for (const samples of steps) expect(new Set(samples).size).toBe(samples.length)
    await workshop.train('by-epochs', settings('num_train_epochs: 2'))
    expect((await stepsOf('by-epochs')).slice(0, 14)).toEqual(steps)
  })

  it('read every sample once an epoch where packing makes epochs of different numbers of rows', async () => {
    const set = [
      'training={ num_train_epochs: 4, per_device_train_batch_size: 1, learning_rate: 0.001, seed: 1, bf16: false, save_steps: 1000 }',
      'data={ train: [web.jsonl, code.jsonl], max_length: 48, packing_window: 8, num_workers: 0, cache_dir: cache }',
      'evaluation={}',
    ]
    await workshop.train('packed', set)
    const steps = await stepsOf('packed')
    const counts = new Map<number, number>()
    for (const sample of steps.flat()) counts.set(sample, (counts.get(sample) ?? 0) + 1)
    expect([...counts.values()]).toEqual(new Array(SAMPLES).fill(4))
  })

  it('are what the share of a reference is taken of, where a step draws more than it trains', async () => {
    const method = (keep: number) =>
      `method={ preset: rho-loss, signal: { reference_steps: 0.5, holdout: 0 }, gate: { keep: ${keep} } }`
    const lengths = async (name: string, keep: number) => {
      const { lines } = await workshop.train(name, [...settings('num_train_epochs: 2'), method(keep)])
      return lines.flatMap((line) => / (\d+) steps$/.exec(line)?.slice(1).map(Number) ?? [])
    }
    // 32 rows are drawn for a step of 8: 3 steps an epoch.
    expect(await lengths('quarter', 0.25)).toEqual([3, 6])
    // Another length of the run is another reference.
    expect(await lengths('half', 0.5)).toEqual([6, 12])
  })

  it('drop the last short batch, not the last short step, in both', async () => {
    const drop = ', dataloader_drop_last: true'
    const lengths = async (name: string, length: string) => {
      await workshop.train(name, [...settings(length, drop), 'data.val_set_size=5'])
      return (await stepsOf(name)).map((samples) => samples.length)
    }
    // 85 rows: 10 steps of two batches, one of a single batch, one row dropped.
    const epoch = [...new Array(10).fill(8), 4]
    expect(await lengths('drop-epochs', 'num_train_epochs: 2')).toEqual([...epoch, ...epoch])
    expect(await lengths('drop-steps', 'max_steps: 14')).toEqual([...epoch, 8, 8, 8])
  })
})

/** Makes the checkpoint one of version 1, whose data may be at another place: the method's parts stand beside the counts. */
function agedCheckpoint(name: string, step: number, change: (state: { cursor: unknown }) => void = () => {}) {
  const folder = path.join(workshop.runFolder(name), 'checkpoints', `step-${step}`)
  const state = JSON.parse(readFileSync(path.join(folder, 'state.json'), 'utf8')) as {
    schema_version: number
    cursor: unknown
    trainer: Record<string, unknown>
  }
  expect(state.schema_version).toBe(3)
  state.schema_version = 1
  const { method, ...counts } = state.trainer
  state.trainer = { ...counts, ...(method as object) }
  change(state)
  writeFileSync(path.join(folder, 'state.json'), JSON.stringify(state))
  rmSync(path.join(folder, 'manifest.json'))
  writeManifest(folder, step)
}

describe('a checkpoint whose steps were cut by the older rule', () => {
  it.each([5, 12, 13])('goes on from step %i where the rules agree so far', async (stopAfterStep) => {
    const name = `agrees-${stopAfterStep}`
    await workshop.train(name, BY_STEPS, { stopAfterStep })
    agedCheckpoint(name, stopAfterStep)
    await workshop.train(name, BY_STEPS)
    expect(await stepsOf(name)).toEqual(await stepsOf('by-steps'))
  })

  it('is refused where a step had taken rows of two epochs', async () => {
    await workshop.train('crossed', BY_STEPS, { stopAfterStep: 13 })
    // 13 steps of 8 rows, as they were taken without a look at the end of the epoch.
    agedCheckpoint('crossed', 13, (state) => {
      state.cursor = { epoch: 1, window: 0, row: 13 * 8 - SAMPLES }
    })
    const error = await workshop.failure('crossed', BY_STEPS)
    expect(error).toMatchObject({ code: 'STEPS_CHANGED', exitCode: 2 })
    expect(error.message).not.toContain('\n')
  })

  it('is refused in its first epoch where a dropped step made the schedule shorter', async () => {
    const set = [...settings('num_train_epochs: 2', ', dataloader_drop_last: true'), 'data.val_set_size=5']
    await workshop.train('dropped', set, { stopAfterStep: 3 })
    agedCheckpoint('dropped', 3)
    expect(await workshop.failure('dropped', set)).toMatchObject({ code: 'STEPS_CHANGED' })
  })
})
