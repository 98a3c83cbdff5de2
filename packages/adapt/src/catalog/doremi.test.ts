import { describe, expect, it } from 'vitest'
import type { PreparationTools, ProxyResult, ProxyRun } from '../method/preparation.js'
import { learntShares } from './doremi.js'
import { keepOfEach } from './source-shares.js'

const OPTIONS = {
  shares: {},
  constants: 'scaled',
  proxySteps: 0.09,
  proxyModel: 'same',
  variant: 'paper',
  eta: 1,
  smoothing: 1e-3,
  norm: 'repo',
} as const

/** 60 samples of a, 30 of b, none of c and 3 of d. */
const DATA = {
  numSamples: 93,
  sources: ['a', 'b', 'c', 'd'],
  sourceIndex: (i: number) => (i < 60 ? 0 : i < 90 ? 1 : 3),
  length: () => 10,
}

/** Tools that note what they are asked for; the proxy reports shares. */
function toolsOf(passes = 1) {
  const runs: ProxyRun[] = []
  const scored: number[][] = []
  const tokenLoss = { at: () => new Float32Array(1) }
  const tools = {
    data: DATA,
    seed: 3,
    passes,
    totalSteps: 100,
    async train(run: ProxyRun): Promise<ProxyResult> {
      runs.push(run)
      const mean = { a: 0.2, b: 0.5, d: 0.3 }
      return {
        checkpoints: [{ folder: `${run.name}-folder`, learningRate: 1e-3 }],
        lastEvents: new Map([['policy', { shares: {}, mean }]]),
      }
    },
    async withModel(folder: string | undefined, use: (model: unknown) => unknown) {
      expect(folder).toBe('reference-folder')
      return use({ config: { vocabSize: 4000 } })
    },
    async tokenLosses(_: string, folder: string | undefined, keep?: (index: number) => boolean) {
      expect(folder).toBe('reference-folder')
      scored.push(Array.from({ length: DATA.numSamples }, (_, i) => i).filter((i) => keep?.(i) ?? true))
      return tokenLoss
    },
  }
  return { runs, scored, tokenLoss, tools: tools as unknown as PreparationTools }
}

describe('the preparation of doremi', () => {
  it('trains a reference, then a proxy on uniformly drawn sources with its losses, and takes the mean weights', async () => {
    const { runs, scored, tokenLoss, tools } = toolsOf()
    const { share_G, score_P, figures } = await learntShares.prepare!(OPTIONS, tools)
    // Natural shares of 60, 30, 0 and 3 of 93 samples of one length.
    expect([score_P![0], score_P![60], score_P![90]].map((score) => score!.toFixed(4))).toEqual([
      '0.3100',
      '1.5500',
      '9.3000',
    ])
    expect([...share_G!]).toEqual([0.2, 0.5, 0, 0.3])
    expect(figures).toMatchObject({ 'share.b': 0.5, 'share.c': 0 })
    const [reference, proxy] = runs as [ProxyRun, ProxyRun]
    expect(reference).toMatchObject({ name: 'reference', method: 'uniform', steps: 0.09, model: 'same' })
    expect(reference.shares).toBeUndefined()
    expect(proxy).toMatchObject({ name: 'proxy', steps: 0.09, artefact: { tokenLoss } })
    expect([...proxy.shares!]).toEqual([1 / 3, 1 / 3, 0, 1 / 3])
    expect(proxy.method).toEqual({
      preset: 'doremi-proxy',
      gate: {
        variant: 'paper',
        eta: 1,
        smoothing: 1e-3,
        norm: 'repo',
        first_excess: Math.log(4000),
      },
    })
    // What the proxy reads is what the reference was asked about.
    const read = Array.from({ length: DATA.numSamples }, (_, i) => i).filter((i) => proxy.keep!(i))
    expect(scored).toEqual([read])
    expect(read).toHaveLength(6 + 3 + 1)
  })

  it('keeps its share of every source, at random, and all of the data for a run that reads it often', () => {
    const count = (share: number, g: number) =>
      keepOfEach(DATA, share, 1).reduce((n, kept, i) => n + (kept && DATA.sourceIndex(i) === g ? 1 : 0), 0)
    expect([0, 1, 2, 3].map((g) => count(0.1, g))).toEqual([6, 3, 0, 1])
    expect([0, 1, 2, 3].map((g) => count(1, g))).toEqual([60, 30, 0, 3])
    expect(keepOfEach(DATA, 0.1, 1)).toEqual(keepOfEach(DATA, 0.1, 1))
    expect(keepOfEach(DATA, 0.1, 1)).not.toEqual(keepOfEach(DATA, 0.1, 2))
  })

  it('costs at most a quarter of the FLOPs of the run, however often that reads the data', () => {
    for (const passes of [0.01, 0.3, 1, 3, 20, 100]) {
      const shape = { params: 1e6, tokens: 1e9 * passes, tokensPerPass: 1e9 } as Parameters<
        NonNullable<typeof learntShares.cost>
      >[1]
      const share = learntShares.cost!(OPTIONS, shape).preparation / (6 * shape.params * shape.tokens)
      expect(share).toBeLessThanOrEqual(0.25)
      expect(share).toBeGreaterThan(0.2)
      expect(learntShares.cost!({ ...OPTIONS, shares: { a: 1 } }, shape).preparation).toBe(0)
    }
  })

  it('takes shares that are given, in any unit, and trains nothing', async () => {
    const { runs, tools } = toolsOf()
    const fixed = OPTIONS
    const { share_G } = await learntShares.prepare!({ ...fixed, shares: { b: 3, d: 1 } }, tools)
    expect([...share_G!]).toEqual([0, 0.75, 0, 0.25])
    expect(runs).toEqual([])
    const unknown = learntShares.prepare!({ ...fixed, shares: { web: 1 } }, tools)
    await expect(unknown).rejects.toThrow(
      /method.signal.shares: the data has no source "web"; its sources are "a"/,
    )
  })

  it('refuses shares that are all 0', () => {
    const problems = (options: object) =>
      learntShares.check!({ ...OPTIONS, ...options }).map(({ key }) => key)
    expect(problems({})).toEqual([])
    expect(problems({ shares: { a: 1 } })).toEqual([])
    expect(problems({ shares: { a: 0 } })).toEqual(['shares'])
  })
})
