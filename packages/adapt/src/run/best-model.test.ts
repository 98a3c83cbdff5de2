import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig, type RunOptions } from '../config/index.js'
import { currentEvents, type EvaluationEvent, readEvents } from '../record/index.js'
import { BestModel, metricsOf } from './best-model.js'
import { Workshop } from './workshop.test.fixture.js'

const configOf = (training: RunOptions['training']) =>
  parseConfig({
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: 'tokenizer',
    data: { train: ['a.jsonl'], valSetSize: 3 },
    evaluation: { everySteps: 1 },
    method: 'uniform',
    outputDir: 'runs/a',
    training,
  })

const lossOf = (step: number, loss: number | null): EvaluationEvent => ({
  type: 'evaluation',
  step,
  time: 0,
  sources: {},
  validation: { eval_loss: loss, sources: {} },
})

describe('BestModel', () => {
  // What Trainer and EarlyStoppingCallback of transformers 5 leave of these losses: best step, step after which they stop.
  it.each([
    [[5, 4, 3, 2, 1], { earlyStoppingPatience: 2 }, 5, undefined],
    [[5, 4, 4.5, 3, 3.5, 3.6, 2], { earlyStoppingPatience: 2 }, 4, 6],
    [[5, 4, 4, 4, 4], { earlyStoppingPatience: 3 }, 2, 5],
    [[5, 4.9, 4.8, 4.7], { earlyStoppingPatience: 2, earlyStoppingThreshold: 0.2 }, 3, 3],
    [[5, 4.9, 4.6, 4.5, 4.45], { earlyStoppingPatience: 2, earlyStoppingThreshold: 0.2 }, 5, 5],
    [[5, 6, 7, 6.5, 6.9], { earlyStoppingPatience: 2, greaterIsBetter: true }, 3, 5],
    [[5, null, 4, null, null], { earlyStoppingPatience: 2 }, 3, 5],
    [[5, 4, 6, 7, 8], { loadBestModelAtEnd: true }, 2, undefined],
  ] as const)('of the losses %j with %o is that of step %i', (losses, options, bestStep, stopStep) => {
    const best = new BestModel(configOf(options))
    let stopped: number | undefined
    for (const [i, loss] of losses.entries()) {
      if (stopped !== undefined) break
      best.note(lossOf(i + 1, loss))
      // As for a run that goes on and measures the same again.
      best.note(lossOf(i + 1, -99))
      if (best.isOver) stopped = i + 1
    }
    expect([best.best?.step, stopped]).toEqual([bestStep, stopStep])
  })

  it('compares nothing that nobody asked for', () => {
    const best = new BestModel(configOf({ metricForBestModel: 'eval_loss' }))
    best.note(lossOf(1, 3))
    expect([best.best, best.isOver]).toEqual([undefined, false])
  })

  it('knows every figure of an evaluation by its name', () => {
    const figures = { documents: 1, tokens: 5 }
    const metrics = metricsOf({
      sources: {
        law: { bits_per_byte: 2, nats_per_token: 1, bytes: 30, ...figures },
        code: { bits_per_byte: 1, nats_per_token: 1, bytes: 10, ...figures },
        none: { bits_per_byte: null, nats_per_token: null, bytes: 0, ...figures },
      },
      validation: {
        eval_loss: 3,
        sources: { web: { bits_per_byte: 1, nats_per_token: 4, bytes: 1, ...figures } },
      },
    })
    expect(Object.fromEntries(metrics)).toEqual({
      eval_loss: 3,
      eval_web_loss: 4,
      eval_bits_per_byte: 1.75,
      eval_law_bits_per_byte: 2,
      eval_code_bits_per_byte: 1,
      eval_none_bits_per_byte: Number.NaN,
    })
  })
})

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** Six documents, learnt by heart: what is held out gets better, then worse. */
const SET = [
  'data.train=[{ path: web.jsonl, limit: 10 }]',
  'data.packing=false',
  'data.val_set_size=4',
  'evaluation={ every_steps: 3 }',
]
const training = (more: string) =>
  `training={ max_steps: 60, per_device_train_batch_size: 3, learning_rate: 0.06, lr_scheduler_type: constant, seed: 1, bf16: false, save_steps: 4, ${more} }`
const BEST = [...SET, training('load_best_model_at_end: true, save_total_limit: 1')]
const PATIENT = [...SET, training('load_best_model_at_end: true, early_stopping_patience: 3')]

const eventsOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)
/** eval_loss by step; a step that was measured twice counts once. */
const lossesOf = (name: string) =>
  new Map(
    eventsOf(name).flatMap((event) =>
      event.type === 'evaluation' ? [[event.step, event.validation!.eval_loss!] as const] : [],
    ),
  )
const bestOf = (name: string) => [...lossesOf(name)].reduce((a, b) => (b[1] < a[1] ? b : a))[0]
const weights = (name: string, folder: string) =>
  readFileSync(path.join(workshop.runFolder(name), folder, 'model.safetensors'))
const notesOf = (name: string) =>
  eventsOf(name).flatMap((event) =>
    event.type === 'alert' ? [[event.severity, event.code, event.message]] : [],
  )

describe('load_best_model_at_end', () => {
  beforeAll(async () => {
    const { outcome } = await workshop.train('best', BEST)
    const step = bestOf('best')
    expect(outcome.best).toEqual({ step, metric: 'eval_loss', value: lossesOf('best').get(step) })
  })

  it('publishes the model of the best evaluation, and says which it is', () => {
    const step = bestOf('best')
    expect(step).toBeLessThan(60)
    expect(readdirSync(path.join(workshop.runFolder('best'), 'checkpoints')).sort()).toEqual(
      [`step-${step}`, 'step-60'].sort(),
    )
    expect(weights('best', 'model').equals(weights('best', `checkpoints/step-${step}`))).toBe(true)
    expect(weights('best', 'model').equals(weights('best', 'checkpoints/step-60'))).toBe(false)
    expect(readdirSync(path.join(workshop.runFolder('best'), 'model')).sort()).toEqual(
      expect.not.arrayContaining(['state.json', 'manifest.json', 'optimizer.safetensors']),
    )
    const loss = lossesOf('best').get(step)!.toFixed(4)
    const message = `best model: step ${step}, eval_loss ${loss}, the lowest of 21 evaluations; model/ is that of step ${step}`
    expect(notesOf('best')).toEqual([['info', 'BEST_MODEL', message]])
    expect(readFileSync(path.join(workshop.runFolder('best'), 'report.html'), 'utf8')).toContain(message)
  })

  it('leaves the last model without it', async () => {
    await workshop.train('last', [...SET, training('save_total_limit: 1')])
    expect(weights('last', 'model').equals(weights('last', 'checkpoints/step-60'))).toBe(true)
    expect(notesOf('last')).toEqual([])
  })

  it('knows the best model again after every stop', async () => {
    const step = bestOf('best')
    for (const stopAfterStep of [step - 1, step, step + 1, step + 8, 59, 60])
      await workshop.train('stopped', BEST, { stopAfterStep })
    await workshop.train('stopped', BEST)
    expect(lossesOf('stopped')).toEqual(lossesOf('best'))
    expect(weights('stopped', 'model').equals(weights('best', 'model'))).toBe(true)
    expect(notesOf('stopped')).toEqual(notesOf('best'))
  })

  it('publishes the last model, and warns, when the best checkpoint is gone', async () => {
    const step = bestOf('best')
    await workshop.train('lost', BEST, { stopAfterStep: 59 })
    rmSync(path.join(workshop.runFolder('lost'), 'checkpoints', `step-${step}`), { recursive: true })
    const { lines } = await workshop.train('lost', BEST)
    expect(weights('lost', 'model').equals(weights('lost', 'checkpoints/step-60'))).toBe(true)
    expect(lines.some((line) => line.startsWith(`warning: best model: step ${step}, eval_loss`))).toBe(true)
  })
})

describe('early_stopping_patience', () => {
  it('ends the run after so many evaluations without a better one', async () => {
    const { lines } = await workshop.train('patient', PATIENT)
    const steps = [...lossesOf('patient').keys()]
    expect(steps.at(-1)).toBe(bestOf('patient') + 9)
    const run = JSON.parse(readFileSync(path.join(workshop.runFolder('patient'), 'run.json'), 'utf8'))
    expect(run).toMatchObject({ status: 'finished', step: steps.at(-1), total_steps: 60 })
    expect(weights('patient', 'model').equals(weights('best', 'model'))).toBe(true)
    expect(lines).toContain(`stopped early after step ${steps.at(-1)} of 60: no better evaluation in 3`)
  })

  it('counts on after a stop, one at the last evaluation too', async () => {
    const last = [...lossesOf('patient').keys()].at(-1)!
    for (const stopAfterStep of [last - 7, last - 1, last])
      await workshop.train('impatient', PATIENT, { stopAfterStep })
    expect(existsSync(path.join(workshop.runFolder('impatient'), 'model'))).toBe(false)
    await workshop.train('impatient', PATIENT)
    expect([...lossesOf('impatient').keys()]).toEqual([...lossesOf('patient').keys()])
    expect(weights('impatient', 'model').equals(weights('patient', 'model'))).toBe(true)
    expect(notesOf('impatient')).toEqual(notesOf('patient'))
  })
})

describe('a figure that no evaluation gives', () => {
  it.each([
    ['eval_law_loss', 'there will be eval_loss, eval_web_loss'],
    ['eval_both_bits_per_byte', 'eval_bits_per_byte, eval_even_bits_per_byte, eval_odd_bits_per_byte'],
  ])('(%s) ends the run before it begins, with those that it gives', async (metric, known) => {
    const sets = metric.includes('bits') ? ['evaluation={ every_steps: 3, sets: [held-out.jsonl] }'] : []
    const set = [...SET, training(`load_best_model_at_end: true, metric_for_best_model: ${metric}`), ...sets]
    const error = await workshop.failure('metric', set)
    expect(error).toMatchObject({ code: 'METRIC_NOT_FOUND', exitCode: 2 })
    expect(error.message).toContain(known)
    expect(existsSync(workshop.runFolder('metric'))).toBe(false)
  })
})
