import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { renderAuditPage } from './audit-report.js'
import { type Audit, type AuditRequest, auditSignals } from './audit-signals.js'
import { verdictOf } from './audit-text.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const SET = ['training.max_steps=20', 'training.save_steps=20', 'evaluation={}']

async function audit(options: Partial<AuditRequest> = {}, set: readonly string[] = []): Promise<Audit> {
  const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: [...SET, ...set] })
  return await auditSignals({
    ...{ config, baseDir, samples: 60, influence: 40 },
    model: path.join(workshop.runFolder('base'), 'checkpoints/step-20'),
    roles: { target: [], sibling: [], noise: [] },
    onLine: () => {},
    onProgress: () => {},
    ...options,
  })
}

async function failure(options: Partial<AuditRequest>, set: readonly string[] = []): Promise<string> {
  const error = await audit(options, set).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AdaptError)
  const { exitCode, code, message } = error as AdaptError
  expect(message).not.toContain('\n')
  return `${exitCode} ${code} ${message}`
}

const ROLES = { target: ['web'], sibling: [], noise: ['code'] }
// Knows the sources, as no signal does.
const ORACLE = 'method={signal: {kind: source, table: {web: 1, code: 0}}, gate: {kind: identity}}'

beforeAll(async () => {
  await workshop.train('base', SET)
})

describe('auditSignals', () => {
  it('finds an oracle to be worth training with, and a random number not', async () => {
    const found = await audit({ roles: ROLES, signals: ['source', 'random'] }, [ORACLE])
    const [oracle, ...others] = found.signals
    expect(oracle).toMatchObject({
      name: 'config (source)',
      isWorth: true,
      rest: { value: 1 },
      noise: { value: 1 },
    })
    expect(oracle!.influence!.dot.value).toBeGreaterThan(0.4)
    expect(oracle!.betweenSources).toBeCloseTo(1, 6)
    expect(others.length).toBeGreaterThan(0)
    for (const { isWorth } of others) expect(isWorth).toBe(false)
    expect(found.best).toBe('config (source)')
    expect(verdictOf(found)).toMatch(/^worth training with: config \(source\) \(AUC 1\.00 \[/)
  })

  it('says so when none is worth it', async () => {
    const found = await audit({ roles: ROLES, signals: ['random'] })
    expect(found.best).toBeUndefined()
    expect(verdictOf(found)).toMatch(/^none of the \d signals is worth training with: /)
  })

  it('scores by every signal that fits, each once, and says why it leaves others out', {
    timeout: 120_000,
  }, async () => {
    const found = await audit({ roles: ROLES, all: true })
    const names = found.signals.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    const byKind = new Set(found.signals.map(({ signal }) => signal.kind))
    for (const kind of ['model-embedding', 'bm25', 'representation', 'loss', 'less', 'ghost-alignment'])
      expect(byKind).toContain(kind)
    expect(found.leftOut).toContainEqual({ name: 'uniform', reason: 'it gives every sample the same score' })
    expect(found.leftOut.find(({ name }) => name === 'doremi')!.reason).toContain('trains a model')
    for (const { anchors, costShare, seconds, flops } of found.signals) {
      expect(anchors.positives).toBe(9)
      for (const figure of [anchors.value, costShare, seconds, flops])
        expect(figure).toBeGreaterThanOrEqual(0)
    }
    // Anchors are sentences of the web: who compares words or gradients sees that.
    expect(found.signals.find(({ name }) => name === 'bm25')!.rest!.value).toBeGreaterThan(0.9)
    expect(found.influence!.rest!.value).toBeGreaterThan(0.9)
    expect(found.influence!.splitHalf).toBeGreaterThan(0.5)
    const less = found.signals.find(({ name }) => name === 'less')!
    expect(less.influence!.cosine.value).toBeGreaterThan(0.3)
  })

  it('lets a signal learn from the samples before it scores them', async () => {
    const set = ['method.preset=adapt-contrastive', 'method.signal.background=32']
    const [found] = (await audit({ roles: ROLES, signals: ['contrastive'] }, set)).signals
    expect(found).toMatchObject({ name: 'config (contrastive)' })
    expect(found!.noise!.value).toBeGreaterThan(0.8)
  })

  it('gives the same figures again, and others for another draw', async () => {
    const figures = async (set: readonly string[]) =>
      (await audit({ signals: ['adapt-calibrated'], influence: 10, samples: 30 }, set)).signals.map(
        ({ seconds: _, ...rest }) => rest,
      )
    expect(await figures([])).toEqual(await figures([]))
    expect(await figures(['training.seed=9'])).not.toEqual(await figures([]))
  })

  it('does not change the order of scores with the size of batches', async () => {
    const areas = async (rows: number) => {
      const set = [`training.per_device_train_batch_size=${rows}`]
      const [found] = (await audit({ signals: ['adapt'], influence: 0 }, set)).signals
      return [found!.anchors.value, found!.splitHalf!]
    }
    const [alone, together] = [await areas(1), await areas(16)]
    for (const [i, value] of alone.entries()) expect(value).toBeCloseTo(together[i]!, 2)
  })

  it('leaves a signal out that needs what a model folder does not hold', async () => {
    const model = path.join(workshop.runFolder('base'), 'model')
    const found = await audit({ model, signals: ['less'], influence: 0 })
    expect(found.signals).toEqual([])
    expect(found.leftOut).toMatchObject([
      { name: 'less', reason: expect.stringContaining('moments beside the model') },
    ])
    expect(verdictOf(found)).toBe('no signal was scored')
  })

  it('refuses in one line what it does not understand', async () => {
    const roles = (more: object) => ({ roles: { target: [], sibling: [], noise: [], ...more } })
    expect(await failure({ signals: ['adpt'] })).toContain('2 UNKNOWN_SIGNAL --signals:')
    expect(await failure({ signals: ['adpt'] })).toContain('(did you mean "adapt"?)')
    expect(await failure(roles({ target: ['wbe'] }))).toContain('2 UNKNOWN_SOURCE --target:')
    expect(await failure(roles({ target: ['web'], noise: ['web'] }))).toContain('received "web" twice')
    expect(await failure(roles({ noise: ['web'] }))).toContain('expected --target too')
    expect(await failure({}, ['anchors=[]'])).toContain('2 NO_ANCHORS')
    writeFileSync(workshop.file('few.jsonl'), '{"text": "the model"}\n{"text": "reads the data"}\n')
    expect(await failure({}, ['anchors=[few.jsonl]'])).toContain('2 TOO_FEW_ANCHORS')
    expect(await failure({}, ['data.train=[few.jsonl]'])).toContain('2 TOO_FEW_SAMPLES')
    expect(await failure({ model: workshop.file('nowhere') })).toContain('2 MODEL_NOT_FOUND')
  })
})

describe('renderAuditPage', () => {
  it('shows what others named as text, and asks for nothing outside itself', async () => {
    const found = await audit({ roles: ROLES, signals: ['random'] })
    const page = renderAuditPage({ ...found, model: '<script>alert(1)</script>' })
    expect(page).not.toContain('<script')
    expect(page).toContain('What each signal finds')
    expect(page).toContain('How it goes with the gradient')
    expect(page).not.toMatch(/https?:/)
    expect(page).not.toContain('NaN')
  })
})
