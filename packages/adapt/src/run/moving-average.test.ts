import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { currentEvents, readEvents } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = 12
const training = (more = '') =>
  `training={ max_steps: ${STEPS}, per_device_train_batch_size: 3, learning_rate: 0.02, seed: 1, bf16: false, save_steps: 5, ema_decay: 0.8${more} }`
const RAW = [training(), 'data.val_set_size=6', 'evaluation.every_steps=4']
const EMA = [...RAW, 'evaluation.weights=ema']

const fileOf = (run: string, ...parts: string[]) => readFileSync(path.join(workshop.runFolder(run), ...parts))
const weightsOf = (run: string, folder = 'model') => fileOf(run, folder, 'model.safetensors')
const LAST = `checkpoints/step-${STEPS}`
const eventsOf = (run: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(run), 'events.jsonl')).events)
const stepsOf = (run: string) =>
  eventsOf(run).flatMap((event) =>
    event.type === 'step' ? [[event.step, event.lossWeighted, event.gradNorm, event.flopsTrain]] : [],
  )
const evaluationsOf = (run: string) =>
  eventsOf(run).flatMap((event) =>
    event.type === 'evaluation' ? [[event.step, event.validation!.eval_loss!, event.sources] as const] : [],
  )

/** SHA-256 of every file of the last checkpoint. */
function checkpointOf(run: string) {
  const folder = path.join(workshop.runFolder(run), LAST)
  return new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(path.join(folder, name)))
          .digest('hex'),
      ]),
  )
}

describe('a run with ema_decay', () => {
  beforeAll(async () => {
    await workshop.train('raw', RAW)
    await workshop.train('ema', EMA)
  })

  it('trains the same whichever weights are evaluated, and as one without', async () => {
    expect(stepsOf('ema')).toEqual(stepsOf('raw'))
    expect(checkpointOf('ema')).toEqual(checkpointOf('raw'))
    await workshop.train('without', [...RAW, training().replace(', ema_decay: 0.8', '')])
    expect(stepsOf('without')).toEqual(stepsOf('raw'))
    expect(weightsOf('without', LAST).equals(weightsOf('raw', LAST))).toBe(true)
    expect(existsSync(path.join(workshop.runFolder('without'), LAST, 'ema'))).toBe(false)
  })

  it('evaluates the weights that it is told to', () => {
    const [raw, ema] = [evaluationsOf('raw'), evaluationsOf('ema')]
    // Before the first update the two are one.
    expect(ema.map(([step]) => step)).toEqual([0, 4, 8, 12])
    expect(ema[0]).toEqual(raw[0])
    for (const [i, [, loss]] of ema.entries()) if (i > 0) expect(loss).not.toBe(raw[i]![1])
  })

  it('publishes what it evaluates, and the average beside raw weights', () => {
    expect(weightsOf('raw').equals(weightsOf('raw', LAST))).toBe(true)
    expect(weightsOf('raw', 'model-ema').equals(weightsOf('raw', `${LAST}/ema`))).toBe(true)
    expect(weightsOf('raw').equals(weightsOf('raw', 'model-ema'))).toBe(false)
    expect(weightsOf('ema').equals(weightsOf('raw', 'model-ema'))).toBe(true)
    expect(existsSync(path.join(workshop.runFolder('ema'), 'model-ema'))).toBe(false)
    const names = (folder: string) => readdirSync(path.join(workshop.runFolder('raw'), folder)).sort()
    expect(names('model-ema')).toEqual(names('model'))
  })

  it('that was stopped ends at the same average, to the bit', async () => {
    for (const stopAfterStep of [3, 5, 9]) await workshop.train('stopped', EMA, { stopAfterStep })
    await workshop.train('stopped', EMA)
    expect(checkpointOf('stopped')).toEqual(checkpointOf('ema'))
    expect(evaluationsOf('stopped')).toEqual(evaluationsOf('ema'))
    expect(weightsOf('stopped').equals(weightsOf('ema'))).toBe(true)
  })

  it('may not change its decay, or the weights that are compared, when it goes on', async () => {
    await workshop.train('strict', RAW, { stopAfterStep: 2 })
    for (const change of ['training.ema_decay=0.9', 'evaluation.weights=ema']) {
      const error = await workshop.failure('strict', [...RAW, change])
      expect([error.code, error.message]).toEqual([
        'CONFIG_CHANGED',
        expect.stringContaining(change.replace(/=.*/, '')),
      ])
    }
  })

  it('keeps the average of the best evaluation', async () => {
    // Six documents, learnt by heart: what is held out gets better, then worse.
    const { outcome } = await workshop.train('best', [
      ...['data.train=[{ path: web.jsonl, limit: 10 }]', 'data.packing=false', 'data.val_set_size=4'],
      'evaluation={ every_steps: 4, weights: ema }',
      'training={ max_steps: 40, per_device_train_batch_size: 3, learning_rate: 0.06, lr_scheduler_type: constant, seed: 1, ' +
        'bf16: false, ema_decay: 0.5, load_best_model_at_end: true, save_total_limit: 1 }',
    ])
    const losses = new Map(evaluationsOf('best').map(([step, loss]) => [step, loss]))
    const lowest = [...losses].reduce((a, b) => (b[1] < a[1] ? b : a))
    expect(lowest[0]).toBeLessThan(40)
    expect(outcome.best).toEqual({ step: lowest[0], metric: 'eval_loss', value: lowest[1] })
    expect(weightsOf('best').equals(weightsOf('best', `checkpoints/step-${lowest[0]}/ema`))).toBe(true)
  })

  it('that branches from a checkpoint takes its average, or begins one at its weights', async () => {
    const branch = async (name: string, trunk: string) => {
      const start = `training.resume_from_checkpoint=${workshop.runFolder(trunk)}/checkpoints/step-5`
      await workshop.train(name, [...RAW, start])
    }
    await workshop.train('trunk-ema', RAW, { stopAfterStep: 5 })
    await workshop.train('trunk-plain', [...RAW, training().replace(', ema_decay: 0.8', '')], {
      stopAfterStep: 5,
    })
    await branch('of-ema', 'trunk-ema')
    expect(weightsOf('of-ema', 'model-ema').equals(weightsOf('raw', 'model-ema'))).toBe(true)
    await branch('of-plain', 'trunk-plain')
    expect(weightsOf('of-plain').equals(weightsOf('raw'))).toBe(true)
    expect(weightsOf('of-plain', 'model-ema').equals(weightsOf('raw', 'model-ema'))).toBe(false)
  })
})

describe('a run of adapters with ema_decay', () => {
  it('saves, resumes and publishes their average alone', async () => {
    await workshop.train('base', ['training.max_steps=2', 'evaluation={}'])
    const model = `model={ path: "${workshop.runFolder('base')}/model", lora: { r: 2, lora_dropout: 0.2 } }`
    const settings = [...EMA, model]
    await workshop.train('lora', settings)
    for (const stopAfterStep of [4, 7]) await workshop.train('lora-stopped', settings, { stopAfterStep })
    await workshop.train('lora-stopped', settings)
    expect(checkpointOf('lora-stopped')).toEqual(checkpointOf('lora'))
    const adapter = (folder: string) => fileOf('lora', folder, 'adapter_model.safetensors')
    expect(adapter('model').equals(adapter(`${LAST}/ema`))).toBe(true)
    expect(adapter('model').equals(adapter(LAST))).toBe(false)
    expect(existsSync(path.join(workshop.runFolder('lora'), LAST, 'ema', 'model.safetensors'))).toBe(false)
  })
})
