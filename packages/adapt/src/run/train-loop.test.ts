import { distributed } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { type Batch, createRowStream, type SampleDraw } from '../batch/index.js'
import type { PoolProgress } from '../method/index.js'
import type { RunObserver, RunParts, StepResult } from './run-parts.js'
import { StepQueue } from './step-queue.js'
import { trainLoop } from './train-loop.js'

const NUM_SAMPLES = 10

const dataset = {
  numSamples: NUM_SAMPLES,
  sources: ['only'],
  sourceIndex: () => 0,
  staticWeight: () => 1,
  length: () => 3,
  labelCount: () => 2,
  sample: (index: number) => ({
    id: String(index),
    source: 'only',
    sourceIndex: 0,
    staticWeight: 1,
    tokens: Int32Array.of(1, 2, 3),
    labelMask: Uint8Array.of(0, 1, 1),
    path: 'a.jsonl',
    line: index,
  }),
}

/** What the loop asks of a method. */
interface Drawing {
  readonly draw: () => SampleDraw | undefined
  readonly decidesDraw: (step: number) => boolean
  readonly beforeDraw: (step: number) => Iterable<PoolProgress>
}

/** What a run needs for its loop; `runStep` notes the ids of its micro-batches. */
function loopOf(
  { rank = 0, worldSize = 1 } = {},
  {
    stopAfterStep,
    unreadable,
    shares,
    looksAhead = false,
    drawing = {},
  }: {
    readonly stopAfterStep?: number
    readonly unreadable?: string
    readonly shares?: number[]
    readonly looksAhead?: boolean
    readonly drawing?: Partial<Drawing>
  } = {},
) {
  const method: Drawing & { readonly shares: () => readonly number[] | undefined } = {
    shares: () => shares,
    draw: () => undefined,
    decidesDraw: () => shares !== undefined,
    beforeDraw: () => [],
    ...drawing,
  }
  const trained: string[][][] = []
  const announced: string[][][] = []
  const trainer = {
    step: 0,
    *prepareDraw() {
      yield* method.beforeDraw(trainer.step)
    },
    runStep(batches: readonly Batch[], _: number, nextBatches: () => readonly Batch[]) {
      trained.push(batches.map(({ samples }) => samples.map(({ id }) => id)))
      if (looksAhead) announced.push(nextBatches().map(({ samples }) => samples.map(({ id }) => id)))
      trainer.step += 1
      return { record: { step: trainer.step } }
    },
  }
  const training = { per_device_train_batch_size: 2, gradient_accumulation_steps: 4 / worldSize }
  const data = {
    padId: 0,
    train: {
      ...dataset,
      sample(index: number) {
        if (unreadable === String(index)) throw new Error('gone')
        return dataset.sample(index)
      },
    },
  }
  const parts = {
    request: { config: { training, data: { packing: false, max_length: 8 } }, stopAfterStep },
    world: { rank, worldSize, collective: distributed.singleProcess },
    data,
    rows: createRowStream({ dataset, seed: 3, maxLength: 8, packing: false, windowSize: 8 }),
    plan: { totalSteps: 2, drawnRows: 8, batchRows: 1 },
    built: { trainer, method },
    stop: { requested: false, settle() {} },
  } as unknown as Omit<RunParts, 'queue'>
  return { parts: { ...parts, queue: new StepQueue(parts) }, trained, announced }
}

describe('trainLoop', () => {
  it('gives the ranks the micro-batches of one process among them, in a step that is cut short too', async () => {
    const alone = loopOf()
    await trainLoop(alone.parts, [])
    expect(alone.trained.map((step) => step.flat().length)).toEqual([8, 2])
    const ranks = [0, 1].map((rank) => loopOf({ rank, worldSize: 2 }))
    for (const { parts } of ranks) await trainLoop(parts, [])
    for (const step of [0, 1]) {
      const [first, second] = ranks.map(({ trained }) => trained[step]!)
      const interleaved = first!.flatMap((batch, i) => [batch, second![i] ?? []])
      expect(interleaved.filter((batch) => batch.length > 0)).toEqual(alone.trained[step])
    }
  })

  it('tells each step at once, then lets timers run, then lets observers work, in their order', async () => {
    const seen: string[] = []
    const observer = (name: string): RunObserver => ({
      begin: async () => void seen.push(`${name} begin`),
      afterStep: ({ record }: StepResult) => {
        seen.push(`${name} after ${record.step}`)
        setImmediate(() => seen.push('timer'))
      },
      betweenSteps: async () => void seen.push(`${name} between`),
    })
    await trainLoop(loopOf({}, { stopAfterStep: 1 }).parts, [observer('a'), observer('b')])
    expect(seen).toEqual([
      ...['a begin', 'b begin', 'a after 1', 'b after 1', 'timer', 'timer', 'a between', 'b between'],
    ])
  })

  it('draws by the shares of the method, also beyond the samples of an epoch', async () => {
    const { parts, trained } = loopOf({}, { shares: [1] })
    await trainLoop(parts, [])
    expect(trained.map((step) => step.flat().length)).toEqual([8, 8])
    expect(parts.rows.cursor).toEqual({ kind: 'sources', drawn: [16] })
  })

  it('draws a step ahead when the device is at work, and saves the place before it', async () => {
    const plain = loopOf()
    await trainLoop(plain.parts, [])
    const { parts, trained, announced } = loopOf({}, { looksAhead: true })
    const places: unknown[] = []
    await trainLoop(parts, [{ betweenSteps: () => void places.push(parts.queue.cursor) }])
    expect(trained).toEqual(plain.trained)
    expect(announced).toEqual([plain.trained[1], []])
    const { rows } = loopOf().parts
    rows.next(8)
    const afterFirst = rows.cursor
    rows.next(8)
    expect(places).toEqual([afterFirst, rows.cursor])
  })

  it('draws nothing ahead where the method decides what is drawn', async () => {
    const { parts, announced } = loopOf({}, { looksAhead: true, shares: [1] })
    await trainLoop(parts, [])
    expect(announced).toEqual([[], []])
  })

  it('draws a step ahead from the samples of the method, but for the first of a new draw', async () => {
    let made: SampleDraw | undefined
    const weight_P = new Float32Array(NUM_SAMPLES).fill(1)
    const { parts, trained, announced } = loopOf(
      {},
      {
        looksAhead: true,
        drawing: {
          draw: () => made,
          decidesDraw: (step) => step === 1,
          beforeDraw(step) {
            if (step === 1) made = { number: 0, weight_P: weight_P.with(3, 0), replacement: false }
            return []
          },
        },
      },
    )
    await trainLoop({ ...parts, plan: { ...parts.plan, totalSteps: 3 } }, [])
    expect(announced).toEqual([[], trained[2], []])
    expect(parts.rows.cursor).toEqual({ kind: 'samples', draw: 0, taken: 16, before: 8 })
    expect(trained.slice(1).flat(2)).not.toContain('3')
  })

  it('tells how far the pool is scored, and leaves a pool where the run is asked to stop', async () => {
    const stop = { requested: false, settle() {} }
    const { parts, trained } = loopOf(
      {},
      {
        drawing: {
          *beforeDraw() {
            yield { done: 1, total: 3 }
            yield { done: 2, total: 3 }
            throw new Error('went on')
          },
        },
      },
    )
    const seen: PoolProgress[] = []
    const whileScoring = (progress: PoolProgress) => {
      seen.push(progress)
      stop.requested = progress.done === 2
    }
    await trainLoop({ ...parts, stop: stop as unknown as RunParts['stop'] }, [{ whileScoring }])
    expect(seen.map(({ done }) => done)).toEqual([1, 2])
    expect(trained).toEqual([])
  })

  it('ends when an observer says so', async () => {
    const { parts, trained } = loopOf()
    await trainLoop(parts, [{ isOver: true }])
    expect(trained).toEqual([])
  })

  it.each([
    false,
    true,
  ])('tells the place before the rows that cannot be read (drawn ahead: %s)', async (looksAhead) => {
    const first = loopOf()
    await trainLoop(first.parts, [])
    const { parts, trained } = loopOf({}, { looksAhead, unreadable: first.trained[1]![0]![0]! })
    const places: unknown[] = []
    const observer: RunObserver = { beforeFailure: (cursor) => void places.push(cursor) }
    await expect(trainLoop(parts, [observer])).rejects.toThrow('gone')
    expect(trained).toHaveLength(1)
    const { rows } = loopOf().parts
    rows.next(8)
    expect(places).toEqual([rows.cursor])
  })
})
