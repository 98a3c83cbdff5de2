import { readFileSync } from 'node:fs'
import { TorchError } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { currentSteps, readEvents } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const stepsOf = (name: string) => currentSteps(readEvents(`${workshop.runFolder(name)}/events.jsonl`).events)
/** `adapt` keeps state in every part of the method. */
const set = (rows: number, passes: number, ...more: string[]) => [
  'method=adapt-calibrated',
  'evaluation={}',
  `training={ max_steps: 6, per_device_train_batch_size: ${rows}, gradient_accumulation_steps: ${passes}, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 3 }`,
  ...more,
]

describe('a run that is out of memory', () => {
  it('ends with 5 and one line that says what to change, in failure.json too', async () => {
    const message =
      'mm([96, 16], [16, 40]): CUDA out of memory. Tried to allocate 3.91 GiB. GPU 0 has a total capacity of 139.81 GiB of which 1.06 GiB is free.'
    const error = await workshop.failure('full', set(4, 2), {
      onStep: ({ step }) => {
        if (step === 4) throw new TorchError('OUT_OF_MEMORY', message, { op: 'mm' })
      },
    })
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', exitCode: 5 })
    expect(error.message).toMatch(
      /^step \d: out of memory on cpu: mm asked for 3\.91 GiB, 1\.06 GiB of 139\.81 GiB was free; try a smaller training\.per_device_train_batch_size \(now 4; [^;]*$/,
    )
    const failure = JSON.parse(readFileSync(`${workshop.runFolder('full')}/failure.json`, 'utf8'))
    expect(failure).toMatchObject({ code: 'OUT_OF_MEMORY', message: error.message })
  })

  it('goes on as the line says: in smaller passes, recomputing, with smaller chunks', async () => {
    await workshop.train('whole', set(4, 2))
    await workshop.train('cut', set(4, 2), { stopAfterStep: 3 })
    const smaller = [
      'training.gradient_checkpointing=true',
      'training.loss_chunk_size=16',
      'training.device=cpu',
    ]
    await workshop.train('cut', set(1, 8, ...smaller))
    const losses = (name: string) => stepsOf(name).map(({ lossWeighted }) => lossWeighted)
    expect(losses('cut')).toHaveLength(6)
    losses('whole').forEach((loss, i) => {
      expect(losses('cut')[i]).toBeCloseTo(loss, 4)
    })
  })

  it('is refused other rows a step, and other passes where short ones are dropped', async () => {
    await workshop.train('other', set(4, 2), { stopAfterStep: 3 })
    expect((await workshop.failure('other', set(2, 2))).message).toContain(
      'per_device_train_batch_size: 4 -> 2',
    )
    const drop = 'training.dataloader_drop_last=true'
    await workshop.train('dropped', set(4, 2, drop), { stopAfterStep: 3 })
    expect(await workshop.failure('dropped', set(2, 4, drop))).toMatchObject({ code: 'CONFIG_CHANGED' })
  })
})
