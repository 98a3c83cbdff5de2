import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { currentEvents, readEvents, readLedger, readSamples } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = 14
/** Draws after 2, 6 and 10 steps, each of the whole pool of 90 samples. */
const GATE = ['method.gate.warmup_steps=2', 'method.gate.draw_every=4', 'method.gate.scored_share=1']
const settings = (method: string, more: readonly string[] = []): string[] => [
  `method.preset=${method}`,
  `training={ max_steps: ${STEPS}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 100 }`,
  'evaluation={}',
  ...GATE,
  ...more,
]

const eventsOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)
const drawsOf = (name: string) =>
  eventsOf(name).filter(({ type }) => (type as string) === 'draw') as unknown as Record<string, number>[]
const stepsOf = (name: string) => eventsOf(name).flatMap((event) => (event.type === 'step' ? [event] : []))

/** Every row of the ledger. */
async function rowsOf(name: string) {
  const rows: { step: number; sample: number; loss: number; score: number }[] = []
  for await (const part of readLedger(path.join(workshop.runFolder(name), 'ledger')))
    for (const [row, sample] of part.sample.entries())
      rows.push({ step: part.step[row]!, sample, loss: part.loss[row]!, score: part.score[row]! })
  return rows
}

async function digest(name: string): Promise<string> {
  const hash = createHash('sha256')
  const checkpoint = path.join(workshop.runFolder(name), 'checkpoints', `step-${STEPS}`)
  for (const file of readdirSync(checkpoint).sort()) hash.update(readFileSync(path.join(checkpoint, file)))
  hash.update(JSON.stringify(drawsOf(name).map(({ time: _, ...event }) => event)))
  hash.update(JSON.stringify(await rowsOf(name)))
  hash.update(JSON.stringify(stepsOf(name).map(({ epoch, flopsSignal }) => [epoch, flopsSignal])))
  return hash.digest('hex')
}

describe('a run whose method draws samples', () => {
  it('scores the pool every U steps, reads by the draw from then on, and counts what that took', async () => {
    const { outcome } = await workshop.train('loss', [
      ...settings('loss-selection', ['method.gate.focus=high', 'data.packing=false']),
    ])
    expect(drawsOf('loss').map(({ step, draw, scored }) => [step, draw, scored])).toEqual([
      [2, 0, 90],
      [6, 1, 90],
      [10, 2, 90],
    ])
    const rows = await rowsOf('loss')
    // 5 : 1 : 1, relative to the mean; in the warm-up the score is the loss in training.
    const scores = rows.filter(({ step }) => step > 2).map(({ score }) => score)
    expect(new Set(scores).size).toBeLessThanOrEqual(2 * 3)
    const inBand = scores.filter((score) => score > 1).length / scores.length
    // 5 / 7, a little less because a band of 31 samples runs short within 32 that are drawn.
    expect(inBand).toBeGreaterThan(0.5)
    for (const draw of [0, 1, 2]) {
      const samples = rows.filter(({ step }) => Math.floor((step - 3) / 4) === draw && step > 2)
      expect(new Set(samples.map(({ sample }) => sample)).size).toBe(samples.length)
    }
    const flops = outcome.steps.map(({ flopsSignal }) => flopsSignal)
    expect(flops.slice(0, 2)).toEqual([0, 0])
    const samples = await readSamples(path.join(workshop.runFolder('loss'), 'samples.parquet'))
    const tokens = [...samples.values()].reduce((sum, sample) => sum + sample.tokens, 0)
    expect(samples.size).toBe(90)
    // 6N for each token that was trained says what N is.
    const { flopsTrain, numTokensProcessed } = outcome.steps[0]!
    expect(flops[2]! / tokens).toBeCloseTo(flopsTrain / numTokensProcessed / 3, 6)
    expect(flops[6]).toBe(2 * flops[2]!)
    expect(flops.at(-1)).toBe(3 * flops[2]!)
    expect(outcome.steps.map(({ epoch }) => epoch)).toEqual(
      outcome.steps.map((_, i) => Math.floor((i * 8) / 90)),
    )
  })

  it.each([
    ['loss-selection', 'packed', []],
    ['loss-selection', 'a sample a row', ['data.packing=false']],
    ['delta-loss', 'in parts', ['method.gate.scored_share=0.4']],
  ] as const)('of %s ends as if it had not been stopped, between draws and within (%s)', async (id, kind, more) => {
    const name = `${id}-${kind.replaceAll(' ', '-')}`
    await workshop.train(`${name}-control`, settings(id, more))
    for (const stopAfterStep of [1, 2, 5, 6, 9])
      await workshop.train(`${name}-stopped`, settings(id, more), { stopAfterStep })
    await workshop.train(`${name}-stopped`, settings(id, more))
    expect(await digest(`${name}-stopped`)).toBe(await digest(`${name}-control`))
  })

  it('reads the same samples however a step is cut into micro-batches', async () => {
    const cut = (rows: number) => [
      // Between samples that differ: some texts of the corpus are equal, and rounding decides between those where a band ends.
      ...['method.gate.lower_quantile=0.3', 'method.gate.upper_quantile=0.7'],
      `training.per_device_train_batch_size=${rows}`,
      `training.gradient_accumulation_steps=${8 / rows}`,
    ]
    await workshop.train('wide', settings('loss-selection', cut(8)))
    await workshop.train('narrow', settings('loss-selection', cut(1)))
    const orderOf = async (name: string) =>
      (await rowsOf(name))
        .map(({ step, sample }) => [step, sample])
        .sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
    expect(await orderOf('narrow')).toEqual(await orderOf('wide'))
    for (const [i, { scoreMean }] of drawsOf('wide').entries())
      expect(drawsOf('narrow')[i]!.scoreMean).toBeCloseTo(scoreMean!, 4)
  })

  it('branches from a plain run in the middle of an interval, and does not go back', async () => {
    const uniform = settings('uniform').filter((one) => !GATE.includes(one))
    await workshop.train('trunk', uniform, { stopAfterStep: 4 })
    const from = (name: string, step: number) =>
      `training.resume_from_checkpoint=${path.join(workshop.runFolder(name), 'checkpoints', `step-${step}`)}`
    await workshop.train('branch', [...settings('delta-loss'), from('trunk', 4)])
    expect(drawsOf('branch').map(({ step }) => step)).toEqual([6, 10])
    await workshop.train('drawn', settings('loss-selection'), { stopAfterStep: 4 })
    for (const method of [uniform, settings('odm').filter((one) => !GATE.includes(one))]) {
      const error = await workshop.failure('back', [...method, from('drawn', 4)])
      expect([error.code, error.message]).toEqual(['DRAW_STEERED', expect.stringContaining('same method')])
    }
  })

  it('draws by any signal of samples: here by nearness to the anchors', async () => {
    await workshop.train(
      'near',
      settings('loss-selection', ['method.signal.kind=model-embedding', 'method.gate.focus=high']),
    )
    expect(drawsOf('near')).toHaveLength(3)
    expect(drawsOf('near').every(({ scoreMean }) => Math.abs(scoreMean!) <= 1)).toBe(true)
  })

  it('refuses a mixing beside its own', async () => {
    const error = await workshop.failure(
      'mixed',
      settings('loss-selection', ['data.mixing={ web: 1, code: 1 }']),
    )
    expect(error.message).toContain('data.mixing')
  })
})
