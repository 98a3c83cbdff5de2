import { renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { readEvents } from '../record/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { inspectAnchors } from './inspect-anchors.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const put = (name: string, texts: readonly string[]) =>
  writeFileSync(workshop.file(name), texts.map((text) => `${JSON.stringify({ text })}\n`).join(''))

const FEW = ['training.max_steps=2', 'evaluation={}', 'method=adapt']
const numbers = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => `n${first + i}`).join(' ')
/** Ten training texts; the anchors are five of their own and as many of these as asked for. */
function putOverlap(numShared: number): string[] {
  const train = Array.from({ length: 10 }, (_, i) => numbers(100 * i, 20))
  put('train.jsonl', train)
  const shared = train.slice(0, numShared).map((text) => ` ${text.toUpperCase()}\n`)
  put('own.jsonl', [...shared, ...Array.from({ length: 5 }, (_, i) => numbers(5000 + 100 * i, 20))])
  return [...FEW, 'data.train=[train.jsonl]', 'anchors=[own.jsonl]']
}

describe('anchors that stand in the training data', () => {
  it('stop a run when they are half of all, with the share and the way out', async () => {
    const error = await workshop.failure('half', putOverlap(5))
    expect(error).toMatchObject({ code: 'ANCHOR_OVERLAP', exitCode: 2 })
    expect(error.message).toContain('5 of 10 (50.0 %)')
    expect(error.message).toContain('own.jsonl:1 is train.jsonl:1')
    expect(error.message).toContain('--set data.allow_anchor_overlap=true')
  })

  it('stop a run when a file is the same, whatever its name', async () => {
    const set = [...FEW, 'data.train=[web.jsonl]', 'anchors=[copy.jsonl]']
    put('copy.jsonl', ['x'])
    renameSync(workshop.file('web.jsonl'), workshop.file('kept.jsonl'))
    put('web.jsonl', ['x'])
    expect((await workshop.failure('same', set)).message).toContain(
      'copy.jsonl has the same bytes as the training file web.jsonl',
    )
    renameSync(workshop.file('kept.jsonl'), workshop.file('web.jsonl'))
  })

  it('are an alert below half, and above it when that is allowed', async () => {
    const alertOf = async (name: string, set: readonly string[]) => {
      const { lines } = await workshop.train(name, set)
      const { events } = await readEvents(path.join(workshop.runFolder(name), 'events.jsonl'))
      const alert = events.find((event) => event.type === 'alert')
      expect(lines.some((line) => line.startsWith('warning: anchors: '))).toBe(alert !== undefined)
      return alert?.type === 'alert' ? `${alert.code} ${alert.message.slice(0, 32)}` : undefined
    }
    expect(await alertOf('few', putOverlap(4))).toBe('ANCHOR_OVERLAP anchors: 4 of 9 (44.4 %) stand w')
    expect(await alertOf('none', putOverlap(0))).toBeUndefined()
    const allowed = [...putOverlap(6), 'data.allow_anchor_overlap=true']
    expect(await alertOf('allowed', allowed)).toBe('ANCHOR_OVERLAP anchors: 6 of 11 (54.5 %) stand ')
  })
})

async function inspect(set: readonly string[], model?: string) {
  const loaded = await loadConfig(workshop.file('run.yaml'), { set })
  const shown: string[] = []
  const found = await inspectAnchors({
    ...loaded,
    samples: 30,
    onProgress: (text) => shown.push(text),
    ...(model === undefined ? {} : { model }),
  })
  return { found, shown }
}

describe('inspectAnchors', () => {
  it('gives figures of the anchors against a sample of the training data, with the model of a run', async () => {
    await workshop.train('looked', ['training.max_steps=2'])
    const tasks = 'anchors=[{ path: anchors.jsonl, task: words }, { path: code.jsonl, limit: 4, task: json }]'
    const { found, shown } = await inspect(
      [tasks, 'method={ signal: { aggregate: max } }'],
      workshop.runFolder('looked'),
    )
    expect(found).toMatchObject({
      isTrained: true,
      centered: false,
      aggregate: 'max',
      numAnchors: 13,
      numSamples: 30,
    })
    expect(found.tasks.map(({ task, anchors }) => [task, anchors])).toEqual([
      ['json', 4],
      ['words', 9],
    ])
    expect(found.tasks.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(found.numTokens)
    expect(Object.keys(found.diagnostics).sort()).toEqual([
      'anisotropy',
      'betweenSources',
      'participationRatio',
      'resultantLength',
      'resultantLength.json',
      'resultantLength.words',
      'scoreAboveAnisotropy',
      'separationAuc',
      'splitHalfReliability',
      'withinReliability',
    ])
    expect(found.sources.map(({ source }) => source).sort()).toEqual(['code', 'web'])
    expect(found.sources.reduce((sum, { samples }) => sum + samples, 0)).toBe(30)
    for (const { mean, quantiles } of found.sources) {
      expect(quantiles[0]).toBeLessThanOrEqual(quantiles[1])
      expect(quantiles[1]).toBeLessThanOrEqual(quantiles[2])
      expect(Math.abs(mean)).toBeLessThanOrEqual(1)
    }
    const cosines = found.anchors.map(({ cosine }) => cosine)
    expect(cosines).toEqual([...cosines].sort((a, b) => b - a))
    expect(found.anchors.find(({ place }) => place === 'code.jsonl:2')?.text).toBe('{ "model": 37 }')
    expect(shown.some((line) => line.startsWith('embedding: '))).toBe(true)
  })

  it('embeds none of the documents that are held out of training', async () => {
    const { found } = await inspect(['method=adapt', 'data.val_set_size=70'])
    expect(found.numSamples).toBe(20)
  })

  it('finds text that training data, anchors and evaluation sets share', async () => {
    put('train.jsonl', [numbers(0, 40), numbers(100, 9), 'nothing of the kind'])
    put('own.jsonl', [numbers(5, 20), numbers(700, 20)])
    put('held-out.jsonl', [numbers(100, 9), numbers(705, 14), numbers(900, 30)])
    const { found } = await inspect([
      'data.train=[train.jsonl]',
      'anchors=[own.jsonl]',
      'evaluation={ sets: [{ path: held-out.jsonl, name: test }] }',
    ])
    expect(found.isTrained).toBe(false)
    const [training, anchors] = found.contamination
    expect(training).toMatchObject({ data: 'training', documents: 3 })
    expect(training!.groups).toMatchObject([
      { group: 'anchors', items: 2, shared: 1, duplicates: 0, documents: 1 },
      { group: 'evaluation/test', items: 3, shared: 1, duplicates: 1, documents: 1 },
    ])
    expect(training!.groups[0]!.examples[0]).toMatchObject({ item: 'own.jsonl:1', document: 'train.jsonl:1' })
    expect(anchors).toMatchObject({ data: 'anchors', documents: 2 })
    expect(anchors!.groups).toMatchObject([{ group: 'evaluation/test', shared: 1, documents: 1 }])
  })

  it('takes a checkpoint, the newest one of a run without a model, and refuses a folder without weights', async () => {
    await workshop.train('stopped', ['training.max_steps=2'])
    const run = workshop.runFolder('stopped')
    const newest = path.join(run, 'checkpoints', 'step-10')
    renameSync(path.join(run, 'model'), newest)
    for (const place of [run, newest]) expect((await inspect([], place)).found.model).toBe(newest)
    await expect(inspect([], workshop.file('cache'))).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      exitCode: 2,
    })
    await expect(inspect(['anchors=[]'])).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })
})
