import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { METHOD_IDS, type MethodId } from '../catalog/index.js'
import { loadConfig } from '../config/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { readLedger, readSamples, readScores, type ScoredSample } from '../record/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { formatOf, type ScoreRequest, scoreData } from './score-data.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** Scores by the config of the run that was trained last. */
async function score(set: readonly string[], options: Partial<ScoreRequest> = {}) {
  const loaded = await loadConfig(workshop.file('run.yaml'), { set })
  return await scoreData({
    config: loaded.config,
    baseDir: loaded.baseDir,
    out: workshop.file('scores.parquet'),
    format: 'parquet',
    onLine: () => {},
    onProgress: () => {},
    ...options,
  })
}

async function rowsOf(set: readonly string[], options: Partial<ScoreRequest> = {}): Promise<ScoredSample[]> {
  const { path: out } = await score(set, options)
  return await readScores(out)
}

async function failure(set: readonly string[], options: Partial<ScoreRequest> = {}): Promise<string> {
  const error = await score(set, options).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AdaptError)
  const { code, exitCode, message } = error as AdaptError
  expect(message).not.toContain('\n')
  return `${exitCode} ${code} ${message}`
}

/** What a run trained on, with what its ledger says of it. */
async function trainedIn(name: string) {
  const samples = await readSamples(path.join(workshop.runFolder(name), 'samples.parquet'))
  const rows = []
  for await (const { sample, score: scores, weight } of readLedger(
    path.join(workshop.runFolder(name), 'ledger'),
  ))
    for (const [i, index] of sample.entries())
      rows.push({ id: samples.get(index)!.id, score: scores[i]!, weight: weight[i]! })
  return rows
}

const FEW = ['training.max_steps=4', 'evaluation={}']
let model = ''
beforeAll(async () => {
  await workshop.train('base', FEW)
  model = workshop.runFolder('base')
})

describe('scoreData', () => {
  it('prepares what a run then finds, and marks what the run trains on', async () => {
    const set = [...FEW, 'method=bm25', 'method.gate.keep=0.3']
    const rows = await rowsOf(set)
    expect(rows).toHaveLength(90)
    expect(rows.filter(({ kept }) => kept)).toHaveLength(27)
    const cut = Math.min(...rows.filter(({ kept }) => kept).map(({ score: value }) => value))
    for (const { score: value, kept, weight } of rows) {
      expect(weight).toBe(kept ? 1 : 0)
      if (!kept) expect(value).toBeLessThanOrEqual(cut)
    }
    const { lines } = await workshop.train('bm25', set)
    expect(lines.filter((line) => line.startsWith('preparation of bm25: found'))).toHaveLength(1)
    for (const { id } of await trainedIn('bm25')) expect(rows.find((row) => row.id === id)!.kept).toBe(true)
  })

  it('gives the scores and weights that the first step of a run from this model gives', async () => {
    const set = [...FEW, 'method=adapt', 'method.gate.temperature=0.1', `model={path: ${model}/model}`]
    const rows = await rowsOf(set.slice(0, 4), { model })
    await workshop.train('adapt', [...set, 'training.max_steps=1'])
    const trained = await trainedIn('adapt')
    expect(trained.length).toBeGreaterThan(1)
    for (const sample of trained) {
      const row = rows.find(({ id }) => id === sample.id)!
      expect(row.score).toBeCloseTo(sample.score, 5)
      expect(row.weight).toBeCloseTo(sample.weight, 5)
    }
  })

  it('goes on where it was interrupted, to the same figures', async () => {
    const set = [...FEW, 'method=linupper', 'training.per_device_train_batch_size=1']
    const cache = (name: string) => [...set, `data.cache_dir=${workshop.file(name)}`]
    const whole = await rowsOf(cache('whole'), { model })
    let last = 0
    await expect(
      score(cache('parts'), {
        model,
        onProgress: (done) => {
          last = done
          if (done > 20) throw new Error('killed')
        },
      }),
    ).rejects.toThrow('killed')
    expect(last).toBeLessThan(90)
    const folder = path.join(workshop.file('parts'), 'prepared')
    const scores = readdirSync(folder).find((name) => name.startsWith('scores-'))!
    const chunks = readdirSync(path.join(folder, scores))
    expect(chunks.length).toBeGreaterThan(0)
    // What is stored is not computed again: another value there stays.
    const chunk = path.join(folder, scores, chunks.sort()[0]!)
    const bytes = readFileSync(chunk)
    bytes.writeFloatLE(77, 8)
    writeFileSync(chunk, bytes)
    const parts = await rowsOf(cache('parts'), { model })
    expect(parts.filter(({ score: value }) => value === 77)).toHaveLength(1)
    const rest = (rows: ScoredSample[]) => rows.filter((_, i) => parts[i]!.score !== 77)
    expect(rest(parts)).toEqual(rest(whole))
  })

  it('says how often the first draw of a method that draws samples reads each', async () => {
    const set = [...FEW, 'method.preset=loss-selection', 'method.gate.focus=high']
    const rows = await rowsOf(set, { model })
    const weights = new Set(rows.map(({ weight }) => weight.toFixed(4)))
    expect(weights.size).toBe(2)
    const inBand = rows.filter(({ weight }) => weight > 1)
    expect(inBand.length).toBeGreaterThan(25)
    expect(Math.min(...inBand.map(({ score: value }) => value))).toBeGreaterThan(
      Math.max(...rows.filter(({ weight }) => weight < 1).map(({ score: value }) => value)),
    )
    expect(rows.reduce((sum, { weight }) => sum + weight, 0) / rows.length).toBeCloseTo(1, 5)
  })

  it('does not take what another model left for its own', async () => {
    await workshop.train('other', [...FEW, 'training.seed=5'])
    const folder = workshop.file('moving')
    const scores = async (run: string) => {
      cpSync(path.join(workshop.runFolder(run), 'model'), folder, { recursive: true })
      const rows = await rowsOf([...FEW, 'method=linupper', `model={path: ${folder}}`])
      return rows.map(({ score: value }) => value)
    }
    const before = await scores('base')
    expect(await scores('base')).toEqual(before)
    expect(await scores('other')).not.toEqual(before)
  })

  it('leaves out what has nothing to learn, whatever the method', async () => {
    for (const method of ['adapt', 'rho-loss']) {
      const set = [...FEW, 'data.train=[web.jsonl, long-prompts.jsonl]', `method=${method}`]
      const rows = await rowsOf(set, { model })
      const mute = rows.filter(({ path: file }) => file === 'long-prompts.jsonl')
      expect(mute.map(({ weight, kept }) => [weight, kept])).toEqual([[0, false]])
    }
  })

  it('says how often a sample is read where a method shares out the draw', async () => {
    const rows = await rowsOf([...FEW, 'method=odm'], { model })
    const [web, code] = ['web', 'code'].map((name) => rows.filter(({ source }) => source === name))
    for (const one of [web!, code!]) expect(new Set(one.map(({ weight }) => weight)).size).toBe(1)
    expect(web![0]!.weight).not.toBeCloseTo(code![0]!.weight, 3)
    const all = rows.reduce((sum, { tokens }) => sum + tokens, 0)
    expect(rows.reduce((sum, { weight, tokens }) => sum + weight * tokens, 0) / all).toBeCloseTo(1, 5)
  })

  it('needs no model for shares that never change', async () => {
    const rows = await rowsOf([...FEW, 'method={preset: static, gate: {shares: {web: 1, code: 3}}}'])
    const tokensOf = (name: string) =>
      rows.filter(({ source }) => source === name).reduce((sum, row) => sum + row.weight * row.tokens, 0)
    expect(tokensOf('code') / tokensOf('web')).toBeCloseTo(3, 5)
  })

  /** As few small runs as there may be. */
  const SMALLEST: { readonly [I in MethodId]?: string } = {
    regmix: '{ preset: regmix, signal: { proxies: 10 } }',
  }

  it.each(METHOD_IDS)('scores every sample by %s', { timeout: 120_000 }, async (id) => {
    const set = [...FEW, `method=${SMALLEST[id] ?? id}`]
    const error = await score(set).then(
      () => undefined,
      (thrown: AdaptError) => thrown,
    )
    // It needs what this data or config does not have, and says so.
    if (error !== undefined && error.code !== 'NEEDS_MODEL') {
      expect([EXIT.config, EXIT.data]).toContain(error.exitCode)
      return
    }
    const rows = await rowsOf(set, error ? { model } : {})
    expect(rows).toHaveLength(90)
    expect(rows.some(({ kept }) => kept)).toBe(true)
    for (const { weight, kept, score: value } of rows) {
      expect(weight).toBeGreaterThanOrEqual(0)
      expect(kept).toBe(weight > 0)
      if (kept) expect(value).not.toBeNaN()
    }
  })
})

describe('kept records', () => {
  const long = Array.from({ length: 40 }, () => 'the model reads data and shapes weights').join(' ')
  const lines = [
    '{"text": "the model reads \\u0064ata", "big": 12345678901234567890, "f": 1.0}',
    `{"text": "${long}", "id": "long"}`,
    '{"prompt": "which? ", "completion": "each sample of the text"}',
    '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "{ 1: 2 }"}]}',
  ]
  beforeAll(() => writeFileSync(workshop.file('mixed.jsonl'), `${lines.join('\n\n')}\n`))
  const mixed = (keep: number) => [
    ...FEW,
    'data.train=[mixed.jsonl]',
    'data.chat_template=chatml',
    'data.max_length=64',
    'method=bm25',
    `method.gate.keep=${keep}`,
  ]
  const jsonl = () => ({ out: workshop.file('kept.jsonl'), format: 'jsonl' as const })

  it('are written as they stand in the data', async () => {
    const outcome = await score(mixed(1), jsonl())
    expect(readFileSync(outcome.path, 'utf8')).toBe(`${lines.join('\n')}\n`)
    expect(outcome.records).toBe(4)
    expect(outcome.samples).toBeGreaterThan(6)
  })

  it('hold a record once, when one of its samples is kept', async () => {
    const rows = await rowsOf(mixed(0.5))
    const outcome = await score(mixed(0.5), jsonl())
    const kept = new Set(rows.filter((row) => row.kept).map(({ line }) => line))
    const written = readFileSync(outcome.path, 'utf8').trimEnd().split('\n')
    expect(written).toEqual(lines.filter((_, i) => kept.has(2 * i + 1)))
    expect(written.length).toBeLessThan(lines.length)
  })

  it('get their scores where that is asked for, and are refused where the key is taken', async () => {
    const outcome = await score(mixed(1), { ...jsonl(), withScores: true })
    const written = readFileSync(outcome.path, 'utf8').trimEnd().split('\n')
    expect(written[0]).toMatch(
      /^\{"text": "the model reads \\u0064ata", "big": 12345678901234567890, "f": 1\.0,"adapt_source":"mixed","adapt_score":[-.\de]+,"adapt_weight":1\}$/,
    )
    writeFileSync(workshop.file('taken.jsonl'), '{"text": "the data", "adapt_score": 1}\n')
    const taken = [...mixed(1), 'data.train=[taken.jsonl]']
    expect(await failure(taken, { ...jsonl(), withScores: true })).toContain('3 KEY_TAKEN --with-score:')
    expect(existsSync(`${workshop.file('kept.jsonl')}.tmp`)).toBe(false)
  })

  it('are those of what is trained: held-out documents are not among them', async () => {
    const held = ['data.val_set_size=10']
    const { records, samples } = await score(
      [...FEW, ...held, 'method=random', 'method.gate.keep=1'],
      jsonl(),
    )
    expect([records, samples]).toEqual([80, 80])
  })
})

describe('what is refused', () => {
  it('says in one line what is missing', async () => {
    expect(await failure([...FEW, 'method=adapt'])).toMatch(
      /^2 NEEDS_MODEL --model: method "adapt" scores nothing before training, .* score .*\bbm25, dsir,/,
    )
    for (const own of [[], [`model={path: ${model}/model}`]])
      expect(await failure([...FEW, ...own, 'method=uniform'])).toMatch(
        /^2 NO_SCORES method: .* "uniform", which scores nothing, .* score .*\bbm25, dsir,/,
      )
    expect(await failure([...FEW, 'method=bm25'], { model })).toMatch(
      /^2 MODEL_NOT_USED --model: .* set model\.path/,
    )
    expect(await failure([...FEW, 'method=bm25'], { out: workshop.file('web.jsonl') })).toContain(
      '2 INPUT_IN_OUTPUT --out:',
    )
    expect(await failure([...FEW, 'method={signal: {kind: custom, name: mine}}'])).toContain(
      '2 NEEDS_CODE method.signal:',
    )
    expect(await failure([...FEW, 'method=bm25'], { out: workshop.file('none/a.parquet') })).toContain(
      '5 SCORES_WRITE',
    )
    expect(
      await failure([...FEW, 'method=bm25'], { out: workshop.file('none/a.jsonl'), format: 'jsonl' }),
    ).toContain('5 SCORES_WRITE')
  })

  it('knows the format by the name of the file', () => {
    expect(formatOf('a/b.jsonl', undefined)).toBe('jsonl')
    expect(formatOf('a/b.json', 'jsonl')).toBe('jsonl')
    expect(() => formatOf('a.txt', undefined)).toThrow('--format')
    expect(() => formatOf('a.parquet', 'jsonl')).toThrow('ending in .jsonl')
    expect(() => formatOf('a.jsonl.gz', 'jsonl')).toThrow('without packing')
  })
})
