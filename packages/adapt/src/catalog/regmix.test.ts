import { describe, expect, it } from 'vitest'
import { fillOptions } from '../method/option-table.js'
import type { PreparationTools, ProxyRun } from '../method/preparation.js'
import { toolsOf } from './preparation-tools.test.fixture.js'
import { heldOutShare, mixtureRegression } from './regmix.js'

/** 600 samples of a, 300 of b, none of c and 100 of d, 10 tokens each. */
const DATA = {
  numSamples: 1000,
  sources: ['a', 'b', 'c', 'd'],
  sourceIndex: (i: number) => (i < 600 ? 0 : i < 900 ? 1 : 3),
  length: () => 10,
} as unknown as PreparationTools['data']

const optionsOf = (given: object) => fillOptions(mixtureRegression.options, given as never)

/** Prepares with proxies whose losses by source follow from their mixture. */
async function prepare(given: object, lossOf: (share_G: Float64Array, g: number) => number, passes = 1) {
  const runs: ProxyRun[] = []
  const warnings: string[] = []
  const tools = toolsOf({
    ...{ data: DATA, seed: 3, passes, totalSteps: 100 },
    warn: (message) => void warnings.push(message),
    async measureEach(_, asked) {
      runs.push(...asked)
      return asked.map(({ shares }) =>
        Float32Array.from(DATA.sources, (_, g) => (g === 2 ? Number.NaN : lossOf(shares!, g))),
      )
    },
  })
  const artefact = await mixtureRegression.prepare!(optionsOf(given), tools)
  return { ...artefact, figures: artefact.figures!, share_G: [...artefact.share_G!], runs, warnings }
}

describe('the preparation of regmix', () => {
  const separable = (share_G: Float64Array, g: number) => 4 - Math.sqrt(share_G[g]! + 0.01)

  it('trains proxies on mixtures of their own, alike but for those, away from what their loss is measured on', async () => {
    const { runs, figures } = await prepare({ heldOut: 0.1, regressor: 'linear' }, separable)
    expect(runs).toHaveLength(32)
    expect(new Set(runs.map(({ name }) => name)).size).toBe(32)
    expect(new Set(runs.map(({ shares }) => shares!.join())).size).toBe(32)
    for (const run of runs) {
      expect(run).toMatchObject({ method: 'uniform', steps: 0.2 / 32, model: 'same' })
      expect(run.shares![2]).toBe(0)
      const trained = Array.from({ length: 1000 }, (_, i) => run.keep!(i))
      const ofSource = (g: number) => trained.filter((keep, i) => keep && DATA.sourceIndex(i) === g).length
      expect([0, 1, 3].map(ofSource)).toEqual([540, 270, 90])
    }
    expect(figures.proxies).toBe(32)
  })

  it('takes the mixture that lowers the target: of the sources together, or of one', async () => {
    const together = await prepare({}, separable)
    // The same curve for every source: the lowest mean is where all have the same share.
    for (const g of [0, 1, 3]) expect(Math.abs(together.share_G[g]! - 1 / 3)).toBeLessThan(0.17)
    const one = await prepare({ target: 'source', targetSource: 'd', regressor: 'linear' }, separable)
    expect(one.share_G[3]).toBeGreaterThan(0.6)
    expect(one.share_G.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
    expect(one.figures['share.d']).toBe(one.share_G[3])
    expect(one.figures.predictedLoss).toBeLessThan(one.figures.predictedLossNatural!)
    expect(one.figures.rankCorrelation).toBeGreaterThan(0.9)
    // p_g / q_g.
    expect(one.score_P![999]).toBeCloseTo(one.share_G[3]! / 0.1, 5)
    expect(one.warnings).toEqual([])
  })

  it('keeps the natural shares and says so when the fit orders nothing, or the proxies are all alike', async () => {
    let calls = 0
    const noise = await prepare({}, () => ((calls++ * 7919) % 97) / 97)
    expect(noise.share_G).toEqual([0.6, 0.3, 0, 0.1])
    expect(noise.figures.isUseful).toBe(0)
    expect(noise.warnings).toHaveLength(1)
    const alike = await prepare({}, () => 3)
    expect(alike.warnings[0]).toMatch(/rank correlation none, 32 proxies.*natural shares; raise/)
    expect(alike.figures).not.toHaveProperty('rankCorrelation')
  })

  it('reads no source more often than it may over the whole run', async () => {
    const { share_G, runs } = await prepare(
      { target: 'source', targetSource: 'd', maxEpochs: 6, regressor: 'linear' },
      separable,
      3,
    )
    expect(share_G[3]).toBeLessThanOrEqual(0.2)
    for (const { shares } of runs) expect(shares![3]).toBeLessThan(0.2 + 4e-4)
    await expect(prepare({ maxEpochs: 15 }, separable, 20)).rejects.toThrow(
      /method.signal.max_epochs: expected more than the 20.0 times that the run reads the data/,
    )
  })

  it('refuses a target that the data does not have, or that has no loss', async () => {
    const unknown = prepare({ target: 'source', targetSource: 'web' }, separable)
    await expect(unknown).rejects.toThrow('method.signal.target_source: the data has no source "web"')
    const empty = prepare({ target: 'source', targetSource: 'c' }, separable)
    await expect(empty).rejects.toThrow(/method.signal.target: expected held-out samples with labels/)
    const problems = (given: object) => mixtureRegression.check!(optionsOf(given)).map(({ key }) => key)
    expect([problems({}), problems({ target: 'source' })]).toEqual([[], ['targetSource']])
    expect(mixtureRegression.needs(optionsOf({ target: 'anchors' }))).toEqual({ sources: 2, anchors: true })
  })
})

describe('the budget of regmix', () => {
  const shape = {
    ...{ params: 1e8, trainable: 1e8, tokens: 1e10, tokensPerPass: 1e10, steps: 1e5, stepsPerEpoch: 1e5 },
    ...{ samples: 2e7, anchors: 400, tokensPerAnchor: 512 },
  }
  const shareOf = (given: object, run = shape) =>
    mixtureRegression.cost!(optionsOf(given), run).preparation / (6 * run.params * run.tokens)

  it('is a quarter of the FLOPs of the run at most', () => {
    expect(shareOf({})).toBeGreaterThan(0.19)
    expect(shareOf({})).toBeLessThanOrEqual(0.25)
    const small = { ...shape, samples: 1e4, tokensPerPass: 5e6, tokens: 5e6, steps: 3200 }
    expect(shareOf({}, small)).toBeGreaterThan(0.2)
    expect(shareOf({}, small)).toBeLessThanOrEqual(0.25)
    expect(shareOf({ proxies: 64 }, small)).toBeLessThanOrEqual(0.25)
    expect(shareOf({ target: 'anchors' })).toBeCloseTo(0.2 + (32 * 2 * 400 * 512) / (6 * 1e10), 9)
  })

  it('has the 512 proxies of the source with its constants, of a small model', () => {
    expect(optionsOf({ constants: 'paper' })).toMatchObject({ proxies: 512, proxySteps: 0.04 })
    expect(shareOf({ constants: 'paper', proxyModel: 'same', target: 'anchors' })).toBeGreaterThan(20)
    expect(shareOf({ constants: 'paper' })).toBeLessThan(0.3)
  })

  it('holds out what it can afford, and no more than helps', () => {
    expect(heldOutShare('auto', 32, 1, 1000)).toBeCloseTo(0.00375, 12)
    expect(heldOutShare('auto', 32, 100, 1000)).toBe(0.1)
    expect(heldOutShare('auto', 32, 1, 1e8)).toBeCloseTo(4096 / 1e8, 12)
    expect(heldOutShare(0.2, 32, 1, 1e8)).toBe(0.2)
  })
})
