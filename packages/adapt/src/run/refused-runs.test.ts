import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { mul_, noGrad } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { writeManifest } from '../checkpoint/manifest.js'
import { saveModelFolder } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { currentSteps, readEvents } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const readJson = (folder: string, name: string): unknown =>
  JSON.parse(readFileSync(path.join(folder, name), 'utf8'))

/** A model folder in the workshop; returns the assignment that names it. */
function saveModel(name: string, vocabSize: number, scale = 1): string {
  const model = createTinyLlama({ vocabSize, maxPositionEmbeddings: 64 })
  noGrad(() => {
    for (const parameter of model.parameters()) mul_(parameter, scale)
  })
  saveModelFolder(model, workshop.file(name))
  model.dispose()
  return `model={ path: ${name} }`
}

describe('a second run', () => {
  it('in the same folder needs --overwrite', async () => {
    const few = ['training.max_steps=2']
    await workshop.train('twice', few)
    const events = path.join(workshop.runFolder('twice'), 'events.jsonl')
    const before = readFileSync(events, 'utf8')
    expect(await workshop.failure('twice', few)).toMatchObject({ code: 'RUN_EXISTS', exitCode: 2 })
    expect(readFileSync(events, 'utf8')).toBe(before)
    const { outcome } = await workshop.train('twice', few, { overwrite: true })
    expect(outcome.steps).toHaveLength(2)
    expect(currentSteps((await readEvents(events)).events)).toHaveLength(2)
  })

  it.each([
    ['does not fit the data', () => saveModel('saved', workshop.vocabSize), 'SEQUENCE_TOO_LONG'],
    ['is not there', () => 'model={ path: nowhere }', 'MODEL_NOT_FOUND'],
  ])('with --overwrite leaves the older run when its model %s', async (_, model, code) => {
    const name = `kept-${code}`
    await workshop.train(name, ['training.max_steps=2'])
    const error = await workshop.failure(name, ['data.max_length=100', model()], { overwrite: true })
    expect(error).toMatchObject({ code, exitCode: 2 })
    const folder = workshop.runFolder(name)
    expect(existsSync(path.join(folder, 'model', 'model.safetensors'))).toBe(true)
    expect(readJson(folder, 'run.json')).toMatchObject({ status: 'finished' })
  })
})

describe('a run that cannot start', () => {
  it.each<[string, () => string[], string, number]>([
    ['without anchors', () => ['method=adapt', 'anchors=[]'], 'INVALID_CONFIG', 2],
    ['with anchor files that hold nothing', () => ['method=adapt', 'anchors=[blank.jsonl]'], 'EMPTY_DATA', 3],
    ['with no token to train on', () => ['data.train=[long-prompts.jsonl]'], 'ZERO_TRAINED_TOKENS', 3],
    [
      'with a tokenizer larger than the embedding',
      () => [saveModel('small', workshop.vocabSize - 1)],
      'TOKENIZER_TOO_LARGE',
      2,
    ],
    ['with a file that is missing', () => ['data.train=[gone.jsonl]'], 'FILE_NOT_FOUND', 2],
    [
      'with fewer rows than one step and drop_last',
      () => ['training.per_device_train_batch_size=500', 'training.dataloader_drop_last=true'],
      'TOO_LITTLE_DATA',
      3,
    ],
    ['in a folder of other files', () => [`output_dir=${workshop.root}`], 'NOT_A_RUN', 2],
  ])('%s ends with its own code and no run folder', async (name, set, code, exitCode) => {
    const error = await workshop.failure(name, set())
    expect(error).toMatchObject({ code, exitCode })
    expect(error.message.length).toBeGreaterThan(20)
    expect(existsSync(workshop.runFolder(name))).toBe(false)
  })
})

describe('a run that diverges', () => {
  it('ends with exit code 4 and says in its folder how', async () => {
    // Weights whose products are beyond float32.
    const set = [saveModel('huge', workshop.vocabSize, 1e30), 'evaluation={}']
    expect(await workshop.failure('diverged', set)).toMatchObject({ code: 'NOT_FINITE', exitCode: 4 })
    const folder = workshop.runFolder('diverged')
    expect(readJson(folder, 'run.json')).toMatchObject({ status: 'failed' })
    expect(readJson(folder, 'failure.json')).toMatchObject({ class: 'NumericError', code: 'NOT_FINITE' })
    expect(existsSync(path.join(folder, 'model'))).toBe(false)
    const { events } = await readEvents(path.join(folder, 'events.jsonl'))
    expect(events.some((event) => event.type === 'alert' && event.code === 'STEP_SKIPPED')).toBe(true)
  })

  it('never puts weights that are no numbers in the place of a good checkpoint', async () => {
    const set = ['training.save_steps=1', 'training.save_total_limit=1', 'training.max_steps=4']
    await workshop.train('poisoned', set, { stopAfterStep: 2 })
    const checkpoints = path.join(workshop.runFolder('poisoned'), 'checkpoints')
    const moments = path.join(checkpoints, 'step-2', 'optimizer.safetensors')
    const bytes = readFileSync(moments)
    // The last moment of the file, as a fault of memory would leave it: the next update makes its parameter NaN.
    bytes.writeFloatLE(Number.NaN, bytes.length - 4)
    writeFileSync(moments, bytes)
    rmSync(path.join(checkpoints, 'step-2', 'manifest.json'))
    writeManifest(path.join(checkpoints, 'step-2'), 2)
    const error = await workshop.failure('poisoned', set)
    expect(error).toMatchObject({ code: 'STATE_NOT_FINITE', exitCode: 4 })
    expect(error.message).toMatch(/^step 3: .* the newest checkpoint is that of step 2/)
    expect(readdirSync(checkpoints)).toEqual(['step-2'])
    expect(readJson(workshop.runFolder('poisoned'), 'run.json')).toMatchObject({ status: 'failed' })
    expect(existsSync(path.join(workshop.runFolder('poisoned'), 'model'))).toBe(false)
  })
})
