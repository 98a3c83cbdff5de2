import { describe, expect, it } from 'vitest'
import { fillOptions } from '../method/option-table.js'
import type { PreparationTools, ProxyResult, ProxyRun } from '../method/preparation.js'
import { gradientShares } from './doge.js'
import { toolsOf } from './preparation-tools.test.fixture.js'

const OPTIONS = fillOptions(gradientShares.options, { mu: 0.01, targets: ['b'] })
const DATA = {
  ...{ numSamples: 10, sources: ['a', 'b', 'c'] },
  sourceIndex: (i: number) => (i < 6 ? 0 : 1),
  length: () => 10,
} as unknown as PreparationTools['data']

describe('doge', () => {
  it('trains one proxy on sources that are drawn alike, and takes the mean of its weights', async () => {
    const runs: ProxyRun[] = []
    const tools = toolsOf({
      data: DATA,
      async train(run) {
        runs.push(run)
        const mean = { a: 0.3, b: 0.7 }
        return { checkpoints: [], lastEvents: new Map([['policy', { mean }]]) } satisfies ProxyResult
      },
    })
    const { share_G, score_P, figures } = await gradientShares.prepare!(OPTIONS, tools)
    expect([...share_G!]).toEqual([0.3, 0.7, 0])
    expect([score_P![0], score_P![9]].map((score) => score!.toFixed(4))).toEqual(['0.5000', '1.7500'])
    expect(figures).toMatchObject({ 'share.b': 0.7 })
    expect(runs).toHaveLength(1)
    expect(runs[0]).toMatchObject({ steps: 0.12, model: 'same' })
    expect([...runs[0]!.shares!]).toEqual([0.5, 0.5, 0])
    expect(runs[0]!.method).toEqual({
      preset: 'doge-proxy',
      gate: { targets: ['b'], mu: 0.01, clip: 1, by_mean_norm: true, most_score: 5, smoothing: 0 },
    })
  })

  it('refuses a target that the data does not have, before it trains', async () => {
    const found = gradientShares.prepare!({ ...OPTIONS, targets: ['web'] }, toolsOf({ data: DATA }))
    await expect(found).rejects.toThrow('method.signal.targets: the data has no source "web"')
  })

  it('costs a quarter of the FLOPs of the run at most, or as long a proxy as in the source', () => {
    const shape = { params: 1e6, tokens: 1e9, steps: 1000 } as Parameters<
      NonNullable<typeof gradientShares.cost>
    >[1]
    const share = (given: Record<string, unknown>) =>
      gradientShares.cost!(fillOptions(gradientShares.options, given), shape).preparation / (6e6 * 1e9)
    expect(share({})).toBeCloseTo(0.24, 9)
    expect(share({ constants: 'paper' })).toBeCloseTo(2, 9)
  })
})
