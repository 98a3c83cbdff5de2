import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { saveModelFolder } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { type CalibrationEvent, currentSteps, type RunEvent, readEvents } from '../record/index.js'
import { loadTokenizer } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { evaluateModelFolder } from './evaluate-model-folder.js'
import { runTraining, type TrainingOutcome } from './run-training.js'

let root = ''
let vocabSize = 0
const file = (name: string) => path.join(root, name)
const putLines = (name: string, records: readonly unknown[]) =>
  writeFileSync(file(name), records.map((record) => `${JSON.stringify(record)}\n`).join(''))

const WORDS =
  'the model reads data and shapes weights while each sample of the text is close to examples'.split(' ')
/** Sentences that follow a rule a small model can learn. */
const sentence = (seed: number) =>
  Array.from({ length: 12 }, (_, i) => WORDS[(seed * 5 + i * (1 + (seed % 3))) % WORDS.length]).join(' ')

beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-run-'))
  vocabSize = loadTokenizer(writeTinyTokenizer(file('tokenizer'))).vocabSize
  putLines(
    'web.jsonl',
    Array.from({ length: 60 }, (_, i) => ({ text: sentence(i) })),
  )
  putLines(
    'code.jsonl',
    Array.from({ length: 30 }, (_, i) => ({ text: `{ "${WORDS[i % 16]}": ${i * 37} }` })),
  )
  putLines(
    'anchors.jsonl',
    Array.from({ length: 9 }, (_, i) => ({ text: sentence(100 + i) })),
  )
  putLines(
    'held-out.jsonl',
    Array.from({ length: 5 }, (_, i) => ({ text: sentence(200 + i), source: i % 2 ? 'odd' : 'even' })),
  )
  putLines('long-prompts.jsonl', [{ prompt: sentence(1).repeat(9), completion: ' the data' }])
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const SHAPE =
  '{ hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 64, tie_word_embeddings: true }'

/** Writes a config with these assignments over the common one, and runs it. */
async function train(name: string, set: readonly string[] = [], overwrite = false) {
  const config = `model: { init: scratch, preset: llama-1m, config: ${SHAPE} }
tokenizer: tokenizer
data: { train: [web.jsonl, code.jsonl], max_length: 48, num_workers: 0, cache_dir: cache }
anchors: [anchors.jsonl]
method: uniform
training: { max_steps: 30, per_device_train_batch_size: 2, learning_rate: 0.01, seed: 1, bf16: false }
evaluation: { sets: [held-out.jsonl], every_steps: 10 }
output_dir: ${file(`runs/${name}`)}
`
  writeFileSync(file('run.yaml'), config)
  const loaded = await loadConfig(file('run.yaml'), { set: [...set] })
  const lines: string[] = []
  const outcome = await runTraining({
    ...loaded,
    overwrite,
    onLine: (line) => lines.push(line),
    onStep: () => {},
  })
  return { outcome, lines }
}

async function failure(name: string, set: readonly string[], overwrite = false): Promise<AdaptError> {
  try {
    await train(name, set, overwrite)
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return error as AdaptError
  }
  throw new Error('the run went through')
}

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
      'config.yaml',
      'eval',
      'events.jsonl',
      'model',
      'provenance.json',
      'report.html',
      'run.json',
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
    const evaluated = await evaluateModelFolder({ model, texts: [file('held-out.jsonl')], maxLength: 48 })
    expect(evaluated.all.bits_per_byte).toBeCloseTo(outcome.evaluation!.all.bits_per_byte, 5)
    const second = await train('second', [
      `model={ path: ${model} }`,
      'training.max_steps=3',
      'training.learning_rate=1.0e-9',
    ])
    const before = JSON.parse(
      readFileSync(path.join(second.outcome.outputDir, 'eval/step-0.json'), 'utf8'),
    ) as { all: { bits_per_byte: number } }
    expect(before.all.bits_per_byte).toBeCloseTo(evaluated.all.bits_per_byte, 5)
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

  it('counts an epoch in whole steps, or drops the last short one', async () => {
    const epoch = [
      'training={ num_train_epochs: 2, per_device_train_batch_size: 4, learning_rate: 0.001, bf16: false }',
    ]
    const all = (await train('epochs', epoch)).outcome.steps
    const dropped = (await train('dropped', [...epoch, 'training.dataloader_drop_last=true'])).outcome.steps
    const samplesIn = (steps: typeof all, n: number) =>
      steps.filter(({ epoch: e }) => e === n).reduce((sum, { numSamples }) => sum + numSamples, 0)
    expect([samplesIn(all, 0), samplesIn(all, 1)]).toEqual([90, 90])
    expect(dropped.length).toBeLessThanOrEqual(all.length)
    expect(samplesIn(dropped, 0)).toBeLessThanOrEqual(90)
  })
})

describe('a second run', () => {
  it('in the same folder needs --overwrite', async () => {
    const few = ['training.max_steps=2']
    const { outcome } = await train('twice', few)
    const before = read(outcome, 'events.jsonl')
    const error = await failure('twice', few)
    expect(error).toMatchObject({ code: 'RUN_EXISTS', exitCode: 2 })
    expect(read(outcome, 'events.jsonl')).toBe(before)
    const again = await train('twice', few, true)
    expect(again.outcome.steps).toHaveLength(2)
    expect(currentSteps(await eventsOf(again.outcome))).toHaveLength(2)
  })

  it.each([
    [
      'its model does not fit the data',
      ['data.max_length=100', 'model={ path: saved }'],
      'SEQUENCE_TOO_LONG',
    ],
    ['its model is not there', ['model={ path: nowhere }'], 'MODEL_NOT_FOUND'],
  ])('with --overwrite leaves the older run when %s', async (_, set, code) => {
    const model = createTinyLlama({ vocabSize, maxPositionEmbeddings: 64 })
    saveModelFolder(model, file('saved'))
    model.dispose()
    const { outcome } = await train(`kept-${code}`, ['training.max_steps=2'])
    expect(await failure(`kept-${code}`, set, true)).toMatchObject({ code, exitCode: 2 })
    expect(existsSync(path.join(outcome.outputDir, 'model', 'model.safetensors'))).toBe(true)
    expect(JSON.parse(read(outcome, 'run.json'))).toMatchObject({ status: 'finished' })
  })
})

describe('a run that cannot start', () => {
  const smallModel = () => {
    const model = createTinyLlama({ vocabSize: vocabSize - 1 })
    saveModelFolder(model, file('small'))
    model.dispose()
    return 'model={ path: small }'
  }
  it.each<[string, () => string[], string, number]>([
    ['without anchors', () => ['method=adapt', 'anchors=[]'], 'INVALID_CONFIG', 2],
    ['with anchor files that hold nothing', () => ['method=adapt', 'anchors=[blank.jsonl]'], 'EMPTY_DATA', 3],
    ['with no token to train on', () => ['data.train=[long-prompts.jsonl]'], 'ZERO_TRAINED_TOKENS', 3],
    ['with a tokenizer larger than the embedding', () => [smallModel()], 'TOKENIZER_TOO_LARGE', 2],
    ['with a file that is missing', () => ['data.train=[gone.jsonl]'], 'FILE_NOT_FOUND', 2],
    [
      'with fewer rows than one step and drop_last',
      () => ['training.per_device_train_batch_size=500', 'training.dataloader_drop_last=true'],
      'TOO_LITTLE_DATA',
      2,
    ],
    ['in a folder of other files', () => [`output_dir=${root}`], 'NOT_A_RUN', 2],
  ])('%s ends with its own code', async (name, set, code, exitCode) => {
    mkdirSync(root, { recursive: true })
    writeFileSync(file('blank.jsonl'), '\n')
    const error = await failure(name.replaceAll(' ', '-'), set())
    expect(error).toMatchObject({ code, exitCode })
    expect(error.message.length).toBeGreaterThan(20)
    expect(existsSync(file(`runs/${name.replaceAll(' ', '-')}/events.jsonl`))).toBe(false)
  })
})

describe('a run that diverges', () => {
  it('ends with exit code 4 and says in its folder how', async () => {
    const set = ['training.learning_rate=1.0e30', 'training.max_grad_norm=1.0e30', 'evaluation={}']
    expect(await failure('diverged', set)).toMatchObject({ code: 'NOT_FINITE', exitCode: 4 })
    const folder = file('runs/diverged')
    expect(JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8'))).toMatchObject({
      status: 'failed',
    })
    expect(JSON.parse(readFileSync(path.join(folder, 'failure.json'), 'utf8'))).toMatchObject({
      class: 'NumericError',
      code: 'NOT_FINITE',
    })
    expect(existsSync(path.join(folder, 'model'))).toBe(false)
    const { events } = await readEvents(path.join(folder, 'events.jsonl'))
    expect(events.some((event) => event.type === 'alert' && event.code === 'STEP_SKIPPED')).toBe(true)
  })
})

describe('an interrupt', () => {
  it('ends the run after the step, with the model so far and exit code 130', async () => {
    const loaded = await (async () => {
      await train('before-interrupt', ['training.max_steps=1'])
      return await loadConfig(file('run.yaml'), { set: [`output_dir=${file('runs/interrupted')}`] })
    })()
    const seen: number[] = []
    const listeners = process.listenerCount('SIGINT')
    const run = runTraining({
      ...loaded,
      overwrite: false,
      onLine: () => {},
      onStep: ({ step }) => {
        seen.push(step)
        if (step === 3) process.emit('SIGINT')
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'INTERRUPTED', exitCode: 130 })
    expect(seen).toEqual([1, 2, 3])
    const folder = file('runs/interrupted')
    expect(JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8'))).toMatchObject({
      status: 'interrupted',
      step: 3,
    })
    expect(existsSync(path.join(folder, 'model', 'model.safetensors'))).toBe(true)
    expect(existsSync(path.join(folder, 'failure.json'))).toBe(false)
    expect(process.listenerCount('SIGINT')).toBe(listeners)
  })
})
