import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Evidence } from '../method/contract.js'
import type { OptionsOf } from '../method/option-table.js'
import type { PreparationTools, ProxyRun } from '../method/preparation.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { excessLoss, reducibleLoss, referenceCost } from './excess-loss.js'
import { OVER_REFERENCE, prepareReference, splitPool } from './reference-losses.js'

type Options = OptionsOf<typeof excessLoss.options>
const TRAINED: Options = {
  ...{ reference: 'train', curated: [], holdout: 0, referenceSteps: 0.1 },
  ...({ divide: 'none', floor: 0 } as const),
}

/** 40 documents of two samples each, ten of the second source; a third source has none. */
const DATA = {
  numSamples: 80,
  sources: ['web', 'code', 'empty'],
  sourceIndex: (index: number) => (index >= 60 ? 1 : 0),
  documentIndex: (index: number) => index >> 1,
  labelCount: () => 3,
}

function toolsOf(data: Partial<typeof DATA> = {}) {
  const calls: { readonly runs: ProxyRun[]; scored: { folder: string | undefined; samples: number[] }[] } = {
    runs: [],
    scored: [],
  }
  const pool = { ...DATA, ...data }
  const tools = {
    data: pool,
    seed: 3,
    modelFolder: (path: string) => `/models/${path}`,
    train: async (run: ProxyRun) => {
      calls.runs.push(run)
      return { checkpoints: [{ folder: 'cache/reference', learningRate: 0.1 }], lastEvents: new Map() }
    },
    tokenLosses: async (_: string, folder: string | undefined, keep = (_: number) => true) => {
      const samples = Array.from({ length: pool.numSamples }, (_, i) => i).filter(keep)
      calls.scored.push({ folder, samples })
      return { at: () => new Float32Array(3) }
    },
  }
  return { calls, tools: tools as unknown as PreparationTools }
}
const marked = (marks: Uint8Array) => [...marks.keys()].filter((i) => marks[i] === 1)

describe('the samples of a reference', () => {
  it('are all of them without a holdout, and the run keeps all of them too', () => {
    const { forReference_P, forRun_P } = splitPool(DATA, TRAINED, 1)
    expect([marked(forReference_P).length, marked(forRun_P).length]).toEqual([80, 80])
  })

  it('are whole documents that the run leaves out, the same share of every source', () => {
    const { forReference_P, forRun_P } = splitPool(DATA, { ...TRAINED, holdout: 0.2 }, 1)
    const heldOut = marked(forReference_P)
    expect(marked(forRun_P)).toEqual([...DATA_INDEXES].filter((i) => !heldOut.includes(i)))
    expect(heldOut.filter((i) => i < 60).length).toBe(12)
    expect(heldOut.filter((i) => i >= 60).length).toBe(4)
    for (const index of heldOut) expect(heldOut).toContain(index ^ 1)
    expect(marked(splitPool(DATA, { ...TRAINED, holdout: 0.2 }, 1).forReference_P)).toEqual(heldOut)
    expect(marked(splitPool(DATA, { ...TRAINED, holdout: 0.2 }, 2).forReference_P)).not.toEqual(heldOut)
  })

  it('are of the curated sources, which the run keeps', () => {
    const { forReference_P, forRun_P } = splitPool(DATA, { ...TRAINED, curated: ['code'] }, 1)
    expect(marked(forReference_P)).toEqual(DATA_INDEXES.filter((i) => i >= 60))
    expect(marked(forRun_P).length).toBe(80)
  })

  it('are refused by name when there are none', () => {
    const attempt = (options: Partial<Options>) => () => splitPool(DATA, { ...TRAINED, ...options }, 1)
    expect(attempt({ curated: ['coed'] })).toThrow(
      /method.signal.curated: the data has no source "coed"; .*"web", "code"/,
    )
    expect(attempt({ curated: ['empty'] })).toThrow(/to train the reference on.*method.signal.curated/)
    expect(attempt({ holdout: 0.001 })).toThrow(/to train the reference on.*method.signal.holdout/)
    expect(attempt({ holdout: 0.999 })).toThrow(/to train the run on.*lower method.signal.holdout/)
    const unlabelled = { ...DATA, labelCount: () => 0 }
    expect(() => splitPool(unlabelled, TRAINED, 1)).toThrow(/samples with labels/)
  })
})
const DATA_INDEXES = Array.from({ length: 80 }, (_, i) => i)

describe('prepareReference', () => {
  it('trains on the holdout, stores the losses of the rest and leaves the holdout out of the run', async () => {
    const { calls, tools } = toolsOf()
    const { kept_P, tokenLoss } = await prepareReference({ ...TRAINED, holdout: 0.1 }, tools)
    const [run] = calls.runs
    expect([run!.name, run!.method, run!.steps]).toEqual(['reference', 'uniform', 0.1])
    const trainedOn = DATA_INDEXES.filter(run!.keep!)
    expect(trainedOn.length).toBe(8)
    expect(marked(kept_P!)).toEqual(DATA_INDEXES.filter((i) => !trainedOn.includes(i)))
    expect(calls.scored).toEqual([{ folder: 'cache/reference', samples: marked(kept_P!) }])
    expect(tokenLoss!.at(0).length).toBe(3)
  })

  it('does the same for both signals when their options agree', async () => {
    const options = { ...TRAINED, holdout: 0.25 }
    const [one, other] = [toolsOf(), toolsOf()]
    const first = await excessLoss.prepare!(options, one.tools)
    const second = await reducibleLoss.prepare!(options, other.tools)
    expect(first.kept_P).toEqual(second.kept_P)
    expect(one.calls.scored).toEqual(other.calls.scored)
  })

  it('stores the losses of all samples and trains nothing when a reference is given', async () => {
    const { calls, tools } = toolsOf()
    const artefact = await prepareReference({ ...TRAINED, reference: 'small' }, tools)
    expect(calls.runs).toEqual([])
    expect(calls.scored).toEqual([{ folder: '/models/small', samples: DATA_INDEXES }])
    expect(artefact.kept_P).toBeUndefined()
  })

  it('is the model of the config as it is before training, where that is asked for', async () => {
    const { calls, tools } = toolsOf()
    await prepareReference({ ...TRAINED, reference: 'base' }, tools)
    expect(calls).toMatchObject({ runs: [], scored: [{ folder: undefined, samples: DATA_INDEXES }] })
    expect(OVER_REFERENCE.readsModels({ reference: 'base' })).toEqual({})
    expect(OVER_REFERENCE.readsModels({ reference: './small' })).toEqual({ reference: './small' })
  })
})

describe('what is left to learn, divided by the loss', () => {
  const vector = (values: readonly number[]) => tensor(Float32Array.from(values), [values.length])
  const scoresOf = (
    signal: typeof excessLoss | typeof reducibleLoss,
    divide: 'loss' | 'none',
    floor: number,
  ) =>
    scope(() => {
      const loss = vector([2, 4, 1, 3.5])
      const evidence = {
        batch: { samples: [1, 1, 1, 1].map((numLabels) => ({ numLabels })) },
        tokenLoss_N: () => loss,
        sampleLoss_S: () => loss,
        referenceLoss_N: () => vector([1.5, 4.2, 0.2, 1.5]),
      } as unknown as Evidence
      const options = { ...TRAINED, divide, floor }
      return [...signal.create!(options, stepFacts(), {}).score(evidence, stepFacts()).toFloat32Array()]
    })

  it.each([
    ['none', 0, [0.5, -0.2, 0.8, 2]],
    ['loss', 0, [0.25, -0.05, 0.8, 0.571429]],
    ['loss', 2.5, [0.2, -0.05, 0.32, 0.571429]],
  ] as const)('is the worked one: divide %s, floor %d', (divide, floor, expected) => {
    for (const signal of [excessLoss, reducibleLoss])
      for (const [i, value] of expected.entries())
        expect(Math.abs(scoresOf(signal, divide, floor)[i]! - value)).toBeLessThan(1e-4)
  })
})

describe('options of the reference', () => {
  it('hold documents out by default for the signal that needs it, and only where the reference is trained here', () => {
    const holdout = (signal: typeof excessLoss | typeof reducibleLoss, reference: string) => {
      const { fallback } = signal.options.holdout
      return typeof fallback === 'function' ? fallback({ reference }) : fallback
    }
    expect([
      holdout(excessLoss, 'train'),
      holdout(reducibleLoss, 'train'),
      holdout(reducibleLoss, './small'),
    ]).toEqual([0, 0.1, 0])
  })
})

describe('referenceCost', () => {
  it('charges the training of the reference and one forward of the pool', () => {
    const shape = { params: 1e9, tokens: 15e9, tokensPerPass: 15e9 }
    const { preparation, signal } = referenceCost(TRAINED, shape)
    expect(preparation / (6 * 1e9 * 15e9)).toBeCloseTo(0.1 + 1 / 3, 12)
    expect(signal).toBe(0)
    const given = referenceCost({ ...TRAINED, reference: './small' }, shape)
    expect(given.preparation).toBe(2 * 1e9 * 15e9)
    const heldOut = referenceCost({ ...TRAINED, holdout: 0.1 }, shape)
    expect(preparation - heldOut.preparation).toBeCloseTo(0.1 * 2 * 1e9 * 15e9, -12)
  })

  it('stays below a quarter of a run of two and a half passes', () => {
    const shape = { params: 1e9, tokens: 2.5e9, tokensPerPass: 1e9 }
    expect(referenceCost(TRAINED, shape).preparation / (6 * 1e9 * 2.5e9)).toBeLessThan(0.25)
  })
})
