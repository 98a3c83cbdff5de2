import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { evaluateModelFolder } from '../open/index.js'
import { type CalibrationEvent, currentSteps, type RunEvent, readEvents } from '../record/index.js'
import type { TrainingOutcome } from './run-parts.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const train = (name: string, set: readonly string[] = []) => workshop.train(name, set)

const eventsOf = async ({ outputDir }: TrainingOutcome): Promise<readonly RunEvent[]> =>
  (await readEvents(path.join(outputDir, 'events.jsonl'))).events
const read = (outcome: TrainingOutcome, name: string) =>
  readFileSync(path.join(outcome.outputDir, name), 'utf8')

describe('a training run', () => {
  it.each([
    ['uniform', ['method=uniform']],
    ['calibrated', ['method={ preset: adapt-calibrated, gate: { ess: 0.8 }, signal: { refresh_every: 8 } }']],
    [
      'softmax',
      ['method={ preset: adapt, gate: { kind: softmax, temperature: 0.1 } }', 'data.packing=false'],
    ],
  ])('with %s weights lowers the loss and leaves a run folder', async (name, set) => {
    const { outcome, lines } = await train(name, set)
    const { steps } = outcome
    expect(steps).toHaveLength(30)
    expect(steps.every(({ skipped }) => !skipped)).toBe(true)
    const meanLoss = (part: typeof steps) =>
      part.reduce((sum, step) => sum + step.lossUnweighted, 0) / part.length
    expect(meanLoss(steps.slice(-5))).toBeLessThan(0.8 * meanLoss(steps.slice(0, 5)))

    const entries = [
      'checkpoints',
      'config.yaml',
      'eval',
      'events.jsonl',
      'ledger',
      'model',
      'provenance.json',
      'report.html',
      'run.json',
      'samples.parquet',
      'tokenizer',
    ]
    expect(readdirSync(outcome.outputDir).sort()).toEqual(entries)
    expect(readdirSync(path.join(outcome.outputDir, 'eval')).sort()).toEqual([
      'step-0.json',
      'step-10.json',
      'step-20.json',
      'step-30.json',
    ])
    expect(JSON.parse(read(outcome, 'run.json'))).toMatchObject({
      status: 'finished',
      step: 30,
      total_steps: 30,
    })
    expect(read(outcome, 'report.html')).toContain(name)

    const events = await eventsOf(outcome)
    expect(currentSteps(events)).toEqual(steps)
    expect(events[0]!.type).toBe('run-start')
    expect(events.at(-1)).toMatchObject({ type: 'run-end', status: 'finished', exitCode: 0 })
    const refreshes = events.filter(({ type }) => type === 'refresh').map(({ step }) => step)
    expect(refreshes).toEqual(name === 'uniform' ? [] : name === 'calibrated' ? [0, 8, 16, 24] : [0])
    const evaluations = events.filter((event) => event.type === 'evaluation')
    expect(evaluations.map(({ step }) => step)).toEqual([0, 10, 20, 30])
    const bits = evaluations.map(({ sources }) => sources.even!.bits_per_byte)
    expect(bits[3]).toBeLessThan(0.9 * bits[0]!)
    expect(lines.some((line) => line.includes('bits per byte'))).toBe(true)
  })

  it('reports what each calibration aimed at and reached', async () => {
    const { outcome } = await train('reports', [
      'method={ preset: adapt-calibrated, gate: { ess: 0.8, update_every: 10 } }',
    ])
    const events = await eventsOf(outcome)
    const calibrations = events.filter((event): event is CalibrationEvent => event.type === 'calibration')
    expect(calibrations.length).toBeGreaterThan(1)
    for (const { reached, targetEss, essRatio, targetEdr, edr } of calibrations) {
      expect([reached, targetEss]).toEqual([true, 0.8])
      expect(essRatio).toBeCloseTo(targetEss, 3)
      expect(edr).toBeCloseTo(targetEdr, 3)
    }
  })

  it('can be trained on from the folder it left, with the same bits per byte', async () => {
    const { outcome } = await train('first')
    const model = path.join(outcome.outputDir, 'model')
    const evaluated = await evaluateModelFolder({
      model,
      texts: [workshop.file('held-out.jsonl')],
      maxLength: 48,
    })
    expect(evaluated.all.bits_per_byte).toBeCloseTo(outcome.evaluation!.all.bits_per_byte!, 5)
    const second = await train('second', [
      `model={ path: ${model} }`,
      'training.max_steps=3',
      'training.learning_rate=1.0e-9',
    ])
    const before = JSON.parse(
      readFileSync(path.join(second.outcome.outputDir, 'eval/step-0.json'), 'utf8'),
    ) as { all: { bits_per_byte: number } }
    expect(before.all.bits_per_byte).toBeCloseTo(evaluated.all.bits_per_byte!, 5)
  })

  it('is the same to the bit when it is repeated, and another with another seed', async () => {
    const method = 'method={ preset: adapt-calibrated, signal: { refresh_every: 8 } }'
    const losses = async (name: string, ...set: string[]) =>
      (await train(name, [method, ...set])).outcome.steps.map(({ lossWeighted }) => lossWeighted)
    const first = await losses('repeat-1')
    expect(await losses('repeat-2')).toEqual(first)
    expect(await losses('repeat-3', 'training.seed=2')).not.toEqual(first)
  })

  it('does not depend on how a step is accumulated', async () => {
    const run = async (name: string, rows: number, accumulation: number) => {
      const set = [
        `training.per_device_train_batch_size=${rows}`,
        `training.gradient_accumulation_steps=${accumulation}`,
      ]
      return (
        await train(name, [...set, 'training.max_steps=4', 'training.learning_rate=1.0e-4'])
      ).outcome.steps.map(({ lossWeighted }) => lossWeighted)
    }
    const whole = await run('whole', 4, 1)
    for (const [i, loss] of (await run('parts', 1, 4)).entries())
      expect(Math.abs(loss / whole[i]! - 1)).toBeLessThan(1e-6)
  })

  it('follows the schedule of its config', async () => {
    const rates = async (name: string, ...set: string[]) => {
      const { outcome } = await train(name, ['training.max_steps=8', 'evaluation={}', ...set])
      return outcome.steps.map(({ learningRate }) => learningRate / 0.01)
    }
    expect(await rates('linear')).toEqual([8, 7, 6, 5, 4, 3, 2, 1].map((n) => expect.closeTo(n / 8, 12)))
    const cosine = await rates(
      'cosine',
      'training.lr_scheduler_type=cosine',
      'training.warmup_ratio=0.25',
      'training.min_lr_ratio=0.1',
    )
    expect(cosine[1]).toBeCloseTo(0.5, 12)
    expect(cosine[2]).toBeCloseTo(1, 12)
    expect(cosine[5]).toBeCloseTo(0.55, 12)
    const wsd = await rates('wsd', 'training.lr_scheduler_type=wsd', 'training.decay_ratio=0.25')
    expect(wsd.slice(0, 7)).toEqual(new Array(7).fill(1))
    expect(wsd[7]).toBeCloseTo(0.5, 12)
  })

  it('counts an epoch in whole steps, or drops the last short one', async () => {
    const epoch = [
      'training={ num_train_epochs: 2, per_device_train_batch_size: 9, learning_rate: 0.001, bf16: false }',
    ]
    const all = (await train('epochs', epoch)).outcome.steps
    const dropped = (await train('dropped', [...epoch, 'training.dataloader_drop_last=true'])).outcome.steps
    const samplesIn = (steps: typeof all, n: number) =>
      steps.filter(({ epoch: e }) => e === n).reduce((sum, { numSamples }) => sum + numSamples, 0)
    expect([samplesIn(all, 0), samplesIn(all, 1)]).toEqual([90, 90])
    expect(dropped.length).toBeLessThan(all.length)
    expect(samplesIn(dropped, 0)).toBeLessThan(90)
  })
})
