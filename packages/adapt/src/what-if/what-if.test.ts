import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LedgerPart, readEvents, readLedger, type StepRecord } from '../record/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { deriveWhatIf } from './what-if.js'

const workshop = new Workshop()
const common = ['evaluation={}', 'data.packing=true']
beforeAll(async () => {
  await workshop.train('sigmoid', [...common, 'method=adapt', 'training.max_steps=12'])
  await workshop.train('calibrated', [
    ...common,
    'method=adapt-calibrated',
    'method.signal.refresh_every=15',
    'method.gate.update_every=10',
    'training.max_steps=40',
  ])
  await workshop.train('plain', [...common, 'training.max_steps=2'])
  await workshop.train('steered', [...common, 'method=odm', 'training.max_steps=2'])
})
afterAll(() => workshop[Symbol.dispose]())

const derive = (run: string, ...set: string[]) => deriveWhatIf({ runFolder: workshop.runFolder(run), set })

async function ledger(run: string): Promise<LedgerPart[]> {
  const parts: LedgerPart[] = []
  for await (const part of readLedger(path.join(workshop.runFolder(run), 'ledger'))) parts.push(part)
  return parts
}

const stepsOf = (run: string) =>
  readEvents(path.join(workshop.runFolder(run), 'events.jsonl')).events.filter(
    (event): event is StepRecord => event.type === 'step',
  )

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const near = (found: number, expected: number, tolerance = 1e-6) =>
  expect(Math.abs(found - expected)).toBeLessThan(tolerance)

describe('the figures of a recorded run', () => {
  it('are those of its step records', async () => {
    const { recorded, rows, steps, firstStep, lastStep } = await derive('sigmoid')
    const records = stepsOf('sigmoid')
    expect({ steps, firstStep, lastStep }).toEqual({ steps: 12, firstStep: 1, lastStep: 12 })
    const samples = records.reduce((sum, { numSamples }) => sum + numSamples, 0)
    expect(rows).toBe(samples)
    near(recorded.weightMean, records.reduce((sum, r) => sum + r.weightMean * r.numSamples, 0) / samples)
    near(recorded.essRatio, mean(records.map((r) => r.essRatio)))
    expect(Object.keys(recorded.sources)).toEqual(['code', 'web'])
    for (const [source, { mass }] of Object.entries(recorded.sources)) {
      near(mass, mean(records.map((r) => r.massBySource[source] ?? 0)))
    }
  })
})

describe('another gate', () => {
  it('that is the recorded one gives the recorded weights to the bit', async () => {
    const { recorded, whatIf, differences, replay } = await derive('sigmoid')
    expect(replay).toEqual({ maxDifference: 0, meanDifference: 0 })
    expect(whatIf).toEqual(recorded)
    expect(differences).toMatchObject({ changedRows: 0, changedSamples: 0, maxDifference: 0 })
    near(differences.rankCorrelation, 1)
  })

  it('with another temperature gives that gate of the recorded scores', async () => {
    const { recorded, whatIf, differences } = await derive('sigmoid', 'method.gate.temperature=0.1')
    const [part] = await ledger('sigmoid')
    const weights = Array.from(part!.score, (score) => 1 / (1 + Math.exp(-score / 0.1)))
    near(whatIf.weightMean, mean(weights))
    near(whatIf.weightQuantiles[0]!, Math.min(...weights))
    near(whatIf.weightQuantiles[6]!, Math.max(...weights))
    expect(whatIf.gate).toMatchObject({ kind: 'sigmoid', temperature: 0.1 })
    expect(recorded.gate).toMatchObject({ kind: 'sigmoid', temperature: 1 })
    const ratios = weights.map((weight, i) => weight / part!.weight[i]!)
    expect(differences.changedRows).toBe(ratios.filter((ratio) => ratio > 2 || ratio < 0.5).length)
    near(differences.maxDifference, Math.max(...weights.map((w, i) => Math.abs(w - part!.weight[i]!))))
    // Both gates rise with the score, so only ties of saturated weights can part them.
    expect(differences.rankCorrelation).toBeGreaterThan(0.9)
  })

  it('over the whole step has mean weight 1 in every step', async () => {
    const { whatIf } = await derive('sigmoid', 'method.gate.kind=softmax', 'method.gate.temperature=0.1')
    near(whatIf.weightMean, 1)
    expect(whatIf.gate).toEqual({ kind: 'softmax', temperature: 0.1 })
  })

  it('that is calibrated meets its target after its warm-up', async () => {
    const { whatIf } = await derive(
      'calibrated',
      'method.gate.ess=0.8',
      'method.gate.warmup_ratio=0',
      'method.gate.update_every=1',
    )
    expect(Math.abs(whatIf.essRatio - 0.8)).toBeLessThan(0.1)
    const { whatIf: identity } = await derive('calibrated', 'method.gate.kind=identity')
    expect(identity.weightQuantiles[0]).toBe(0)
  })

  it('and another normaliser divide the mass anew', async () => {
    const { recorded, whatIf } = await derive('sigmoid', 'method.normalizer=sample.mean')
    expect([recorded.normalizer, whatIf.normalizer]).toEqual(['token.wmean', 'sample.mean'])
    expect(whatIf.sources.code!.mass).not.toBeCloseTo(recorded.sources.code!.mass, 3)
    near(whatIf.sources.code!.mass + whatIf.sources.web!.mass, 1)
  })
})

describe('the replay of a calibrated gate', () => {
  it('says how far it is from the recorded weights', async () => {
    const { replay, recorded } = await derive('calibrated')
    expect(recorded.gate.kind).toBe('calibrated-sigmoid')
    expect(replay.maxDifference).toBeGreaterThan(0)
    expect(replay.meanDifference).toBeLessThan(0.05)
  })
})

describe('what a ledger cannot tell', () => {
  const refused = async (run: string, set: readonly string[]): Promise<Error> =>
    derive(run, ...set).then(
      () => {
        throw new Error('it was derived')
      },
      (error: Error) => error,
    )

  it.each<[string, string, string[], string]>([
    ['another key', 'sigmoid', ['training.seed=5'], 'training.seed cannot be changed afterwards'],
    [
      'another pooling',
      'sigmoid',
      ['method.signal.pooling=mean'],
      'method.signal.pooling was position_weighted',
    ],
    [
      'another preset with another signal',
      'sigmoid',
      ['method=adapt-calibrated'],
      'method.signal.center was false',
    ],
    [
      'a preset without a signal',
      'sigmoid',
      ['method.preset=uniform'],
      'method.signal.kind was model-embedding',
    ],
    ['shuffled weights', 'sigmoid', ['method.shuffle=true'], 'method.shuffle draws on the lengths'],
    ['a run without scores', 'plain', ['method.gate.kind=sigmoid'], 'this run measured nothing'],
    [
      'a run that steers what it reads',
      'steered',
      ['method.normalizer=token.mean'],
      'weighs a sample with apply "sample"',
    ],
  ])('is refused with its reason: %s', async (_, run, set, reason) => {
    const error = await refused(run, set)
    expect(error).toMatchObject({
      code: 'NOT_DERIVABLE',
      exitCode: 2,
      message: expect.stringContaining(reason),
    })
    expect(error.message).not.toContain('\n')
  })

  it('a preset with the same signal can be derived', async () => {
    expect((await derive('sigmoid', 'method=adapt-paper')).whatIf.normalizer).toBe('token.mean')
  })

  it('a misspelt option and a gate without that option are named', async () => {
    for (const [key, text] of [
      ['method.gate.temprature=1', 'temperature'],
      ['method.gate.ess=0.9', 'expected an option of gate kind "sigmoid"'],
    ] as const) {
      expect(await refused('sigmoid', [key])).toMatchObject({
        code: 'INVALID_CONFIG',
        message: expect.stringContaining(text),
      })
    }
  })

  it('a folder without a run, without a ledger or without a row', async () => {
    expect(await refused('nowhere', [])).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
    const parts = path.join(workshop.runFolder('plain'), 'ledger')
    rmSync(parts, { recursive: true })
    expect(await refused('plain', [])).toMatchObject({ exitCode: 2 })
  })
})
