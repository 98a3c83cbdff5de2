import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { inspectAnchors } from '../anchors/index.js'
import { loadConfig } from '../config/index.js'
import { currentSteps, readEvents, readLedger, readSamples } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const FEW = ['training.max_steps=3', 'evaluation={}']

function putLines(name: string, lines: readonly string[]): void {
  writeFileSync(workshop.file(name), lines.map((line) => `${line}\n`).join(''))
}
const record = (i: number) => JSON.stringify({ id: `d${i}`, text: `the model reads sample ${i}` })

describe('bad records', () => {
  putLines('worn.jsonl', [
    record(0),
    'bad',
    record(1),
    '{}',
    ...Array.from({ length: 20 }, (_, i) => record(i + 2)),
  ])
  const worn = [...FEW, 'data.train=[worn.jsonl]']

  it('end a run before it has a folder, at the first one or beyond the budget', async () => {
    expect(await workshop.failure('none', worn)).toMatchObject({ code: 'BAD_JSON', exitCode: 3 })
    const error = await workshop.failure('one', [...worn, 'data.max_bad_records=1'])
    expect(error).toMatchObject({ code: 'UNKNOWN_RECORD', exitCode: 3 })
    expect(error.message).toContain('worn.jsonl:4 (byte ')
  })

  it('within the budget are skipped, the same ones on resume, and reported where the run is described', async () => {
    const set = [...worn, 'data.max_bad_records=2']
    const { lines } = await workshop.train('whole', set)
    expect(lines.filter((line) => line.includes('2 bad records skipped'))).toHaveLength(1)
    const { events } = await readEvents(path.join(workshop.runFolder('whole'), 'events.jsonl'))
    const alert = events.find((event) => event.type === 'alert' && event.code === 'DATA')
    expect(alert).toMatchObject({ message: expect.stringContaining('worn.jsonl:2 (byte ') })
    const provenance = JSON.parse(
      readFileSync(path.join(workshop.runFolder('whole'), 'provenance.json'), 'utf8'),
    )
    expect(provenance.data_notes.badRecords).toMatchObject([{ file: 'worn.jsonl', count: 2 }])

    await workshop.train('stopped', set, { stopAfterStep: 1 })
    await workshop.train('stopped', set)
    const losses = async (name: string) =>
      currentSteps((await readEvents(path.join(workshop.runFolder(name), 'events.jsonl'))).events).map(
        ({ lossWeighted }) => lossWeighted,
      )
    expect(await losses('stopped')).toEqual(await losses('whole'))
  })

  it('within the budget are no obstacle to a method with anchors, nor to a look at the anchors', async () => {
    putLines('apart.jsonl', [JSON.stringify({ text: 'an anchor of its own' })])
    const set = [...worn, 'data.max_bad_records=2', 'method=adapt', 'anchors=[apart.jsonl]']
    await workshop.train('anchored', set)
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set })
    const { numSamples } = await inspectAnchors({ config, baseDir, samples: 8, onProgress: () => {} })
    expect(numSamples).toBe(8)
  })
})

describe('mixing and weights of a run', () => {
  it('choose the samples of each step, and stand in the ledger', async () => {
    const set = [
      'training.max_steps=6',
      'training.per_device_train_batch_size=4',
      'data.packing=false',
      'evaluation={}',
      'data.train=[{ path: web.jsonl, source: web, weight: 0.5 }, { path: code.jsonl, source: code }]',
      'data.mixing={ web: 1, code: 3 }',
    ]
    await workshop.train('mixed', set)
    const folder = workshop.runFolder('mixed')
    const origins = await readSamples(path.join(folder, 'samples.parquet'))
    const tokens: Record<string, number> = { web: 0, code: 0 }
    for await (const part of readLedger(path.join(folder, 'ledger'))) {
      for (let row = 0; row < part.rows; row++) {
        const source = part.source[row]!
        expect(part.sampleWeight[row]).toBe(source === 'web' ? 0.5 : 1)
        tokens[source]! += origins.get(part.sample[row]!)!.tokens
      }
    }
    expect(tokens.code! / (tokens.code! + tokens.web!)).toBeGreaterThan(0.6)
    expect(tokens.web).toBeGreaterThan(0)
  })

  it('refuse a source that the data does not have', async () => {
    const error = await workshop.failure('strange', [...FEW, 'data.mixing={ web: 1, wiki: 1 }'])
    expect(error).toMatchObject({ code: 'UNKNOWN_SOURCE', exitCode: 2 })
    expect(error.message).toContain('"web", "code"')
  })
})

describe('data that is none', () => {
  putLines('empty.jsonl', [])
  putLines('only-bad.jsonl', ['x', 'y'])
  it.each([
    ['zero bytes', ['data.train=[empty.jsonl]'], 'EMPTY_DATA'],
    ['blank lines', ['data.train=[blank.jsonl]'], 'EMPTY_DATA'],
    ['no valid record', ['data.train=[only-bad.jsonl]', 'data.max_bad_records=9'], 'EMPTY_DATA'],
    [
      'fewer rows than a whole step needs',
      ['training.per_device_train_batch_size=500', 'training.dataloader_drop_last=true'],
      'TOO_LITTLE_DATA',
    ],
  ])('(%s) ends with exit code 3 before the model is looked at', async (_, set, code) => {
    // A model that is not there would be the error if it came first.
    const error = await workshop.failure('nothing', [...FEW, ...set, 'model={ path: nowhere }'])
    expect(error).toMatchObject({ code, exitCode: 3 })
  })
})

describe('data.val_set_size', () => {
  const set = ['training.max_steps=4', 'evaluation={ every_steps: 2 }', 'data.val_set_size=20']
  const evaluationsOf = (name: string) =>
    readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events.filter(
      (event) => event.type === 'evaluation',
    )

  it('keeps documents out of training and measures their loss with every evaluation', async () => {
    const { outcome, lines } = await workshop.train('held', set)
    const samples = await readSamples(path.join(workshop.runFolder('held'), 'samples.parquet'))
    const trained = [...samples.values()].map(({ path: file, line }) => `${file}:${line}`)
    expect(new Set(trained).size).toBe(90 - 20)
    expect([...samples.keys()]).toEqual(trained.map((_, i) => i))
    const evaluations = evaluationsOf('held')
    expect(evaluations.map(({ step }) => step)).toEqual([0, 2, 4])
    const last = JSON.parse(readFileSync(workshop.runFolder('held/eval/step-4.json'), 'utf8'))
    expect(evaluations[2]).toMatchObject({
      sources: {},
      validation: { eval_loss: last.validation.eval_loss, sources: last.validation.sources },
    })
    expect(Object.keys(last.validation.sources).sort()).toEqual(['code', 'web'])
    expect(outcome.validation!.eval_loss).toBe(last.validation.eval_loss)
    expect(outcome.validation!.all.documents).toBe(20)
    expect(outcome.validation!.eval_loss).toBeLessThan(evaluations[0]!.validation!.eval_loss!)
    expect(
      lines.filter((line) => /^step \d: eval_loss \d\.\d{4} {2}\(code .* web .*\)$/.test(line)),
    ).toHaveLength(3)
    expect(readFileSync(outcome.reportPath!, 'utf8')).toContain('eval_loss')
  })

  it('holds out the same documents when the run goes on, and refuses another number', async () => {
    await workshop.train('held-stopped', set, { stopAfterStep: 1 })
    const error = await workshop.failure('held-stopped', [...set, 'data.val_set_size=21'])
    expect(error.code).toBe('CONFIG_CHANGED')
    await workshop.train('held-stopped', set)
    const losses = (name: string) => evaluationsOf(name).map(({ validation }) => validation!.eval_loss)
    expect(losses('held-stopped')).toEqual(losses('held'))
  })
})

describe('a run on conversations', () => {
  const turn = (i: number) => [
    { role: 'user', content: `sample ${i % 7}` },
    { role: 'assistant', content: `the model reads ${i % 7}` },
  ]
  putLines(
    'chat.jsonl',
    Array.from({ length: 30 }, (_, i) =>
      JSON.stringify({ id: `c${i}`, messages: i % 3 === 0 ? [...turn(i), ...turn(i + 1)] : turn(i) }),
    ),
  )
  putLines(
    'chat-anchors.jsonl',
    [0, 1, 2].map((i) => JSON.stringify({ messages: [...turn(i), ...turn(i + 3)] })),
  )
  const set = ['training.max_steps=4', 'data.train=[chat.jsonl]', 'evaluation={ sets: [chat-anchors.jsonl] }']

  it('needs a template, and says how to give one', async () => {
    const error = await workshop.failure('chat-none', set)
    expect([error.code, error.exitCode]).toEqual(['CHAT_TEMPLATE_MISSING', 2])
    expect(error.message).toContain('data.chat_template')
  })

  it('trains, compares with anchors and evaluates through one template', async () => {
    const { outcome, lines } = await workshop.train('chat', [
      ...set,
      'method=adapt',
      'anchors=[chat-anchors.jsonl]',
      'data.chat_template=chatml',
      'data.max_length=56',
    ])
    expect(outcome.steps).toHaveLength(4)
    expect(outcome.steps.every(({ lossWeighted }) => Number.isFinite(lossWeighted))).toBe(true)
    expect(outcome.evaluation!.all.documents).toBe(3)
    expect(lines.filter((line) => line.includes('responses lie beyond data.max_length'))).toHaveLength(1)
    // The text of a sample in the report is what the model saw.
    expect(readFileSync(outcome.reportPath!, 'utf8')).toContain('|im_start|&gt;assistant')
  })
})
