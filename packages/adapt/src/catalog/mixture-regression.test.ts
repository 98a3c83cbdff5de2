import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openGolden } from '../model/golden.test.fixture.js'
import { spearman } from '../signal/rank-statistics.js'
import { type BoostingOptions, fitBoostedTrees } from '../statistics/index.js'
import { bestMixture, drawMixtures } from './draw-mixtures.js'
import { boostingFor, fitLinear, fitMixtures } from './mixture-regression.js'

interface RegmixGolden {
  readonly config: BoostingOptions & { readonly patience: number }
  readonly rows: readonly (readonly number[])[]
  readonly targets: readonly number[]
  readonly testRows: readonly (readonly number[])[]
  readonly testTargets: readonly number[]
  readonly trees: {
    readonly trees: number
    readonly errors: readonly number[]
    readonly predictions: readonly number[]
  }
  readonly linear: readonly number[]
}
const GOLDEN = openGolden<RegmixGolden>('regmix').values

describe('the regressions', () => {
  it('are those of an independent program, with its early stopping', () => {
    const { config, rows, targets, testRows, testTargets, trees, linear } = GOLDEN
    const heldOut = { rows: testRows, targets: testTargets, patience: config.patience }
    const fit = fitBoostedTrees(rows, targets, config, heldOut)
    expect([fit.numTrees, fit.heldOutErrors.length]).toEqual([trees.trees, trees.errors.length])
    for (const [i, expected] of trees.predictions.entries())
      expect(Math.abs(fit.predict(testRows[i]!) - expected)).toBeLessThan(1e-9)
    const predict = fitLinear(rows, targets)
    for (const [g, expected] of linear.entries()) {
      const vertex = linear.map((_, other) => (other === g ? 1 : 0))
      expect(predict(vertex)).toBeCloseTo(expected, 9)
    }
  })

  it('predict the worked mixtures, whose two best have the worked mean', () => {
    const mixtures = [
      [0.8, 0.1, 0.1],
      [0.1, 0.8, 0.1],
      [0.1, 0.1, 0.8],
      [0.4, 0.3, 0.3],
      [0.2, 0.5, 0.3],
    ]
    const predict = fitLinear(mixtures, [3.2, 3.6, 3.9, 3.4, 3.55])
    const simulated = [
      [0.9, 0.05, 0.05],
      [0.7, 0.2, 0.1],
      [0.3, 0.3, 0.4],
      [0.6, 0.1, 0.3],
    ]
    for (const [i, expected] of [3.083333, 3.218203, 3.576815, 3.363402].entries())
      expect(predict(simulated[i]!)).toBeCloseTo(expected, 6)
    const best = [...simulated].sort((a, b) => predict(a) - predict(b)).slice(0, 2)
    for (const [g, expected] of [0.8, 0.125, 0.075].entries())
      expect((best[0]![g]! + best[1]![g]!) / 2).toBeCloseTo(expected, 12)
  })
})

describe('fitMixtures', () => {
  const mixtures = drawMixtures({ prior: [0.5, 0.3, 0.2], most: [1, 1, 1], seed: 2 }, 40)
  const losses = mixtures.map((p) => 3 - Math.sqrt(p[1]! + 0.05) + p[0]! ** 2)

  it('orders mixtures that it has not seen, by either way', () => {
    const others = drawMixtures({ prior: [0.5, 0.3, 0.2], most: [1, 1, 1], seed: 5 }, 60)
    const truth = others.map((p) => 3 - Math.sqrt(p[1]! + 0.05) + p[0]! ** 2)
    for (const regressor of ['trees', 'linear'] as const) {
      const { predict, rankCorrelation, trees } = fitMixtures(mixtures, losses, regressor)
      const found = spearman(others.map(predict), truth)
      expect(found).toBeGreaterThan(0.9)
      expect(Math.abs(rankCorrelation - found)).toBeLessThan(0.1)
      expect(trees > 0).toBe(regressor === 'trees')
    }
  })

  it('knows nothing of losses that do not follow from the mixture', () => {
    const noise = mixtures.map((_, i) => ((i * 7919) % 41) / 41)
    expect(fitMixtures(mixtures, noise, 'trees').rankCorrelation).toBeLessThan(0.26)
    const { rankCorrelation, trees } = fitMixtures(mixtures, new Array(40).fill(2), 'trees')
    expect([rankCorrelation, trees]).toEqual([Number.NaN, 0])
  })

  it('refuses a linear fit of as many sources as proxies', () => {
    const few = drawMixtures({ prior: new Array(9).fill(1 / 9), most: new Array(9).fill(1), seed: 1 }, 10)
    expect(() =>
      fitMixtures(
        few,
        few.map((p) => p[0]!),
        'linear',
      ),
    ).toThrow(/raise method.signal.proxies, or take trees/)
  })

  it('has the leaves of the source for hundreds of proxies, smaller ones for few', () => {
    expect([512, 200, 32, 10].map((n) => boostingFor(n).minLeaf)).toEqual([20, 20, 3, 2])
  })
})

const SHARED = path.resolve(import.meta.dirname, '../../../../../shared/data/regmix')

/** Spearman x 100 on the 256 test runs, as published, by target. */
const PUBLISHED = {
  ...{ arxiv: 99.6, freelaw: 99.71, pubmed_central: 99.08, wikipedia_en: 99.45, dm_mathematics: 97.2 },
  ...{ github: 99.77, stackexchange: 99.73, gutenberg_pg_19: 99.18, pile_cc: 98.92, ubuntu_irc: 96.87 },
  ...{ hackernews: 98.51, pubmed_abstracts: 99.19, uspto_backgrounds: 99.12 },
} as const
/** Shares of the tokens in the Pile, in the order of the columns. */
const PILE = [
  0.11328527, 0.07960865, 0.00391349, 0.1853759, 0.05108136, 0.01596293, 0.10175077, 0.00370752, 0.06652935,
  0.00175077, 0.02708548, 0.23686921, 0.01184346, 0.00792997, 0.00803296, 0.03882595, 0.04644696,
]

function readTable(name: string) {
  const [head, ...lines] = readFileSync(path.join(SHARED, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','))
  return { columns: head!.slice(1), rows: lines.map((line) => line.slice(1).map(Number)) }
}

describe('the published proxies', () => {
  it('are predicted as well as published, and have the published optimum', {
    timeout: 300_000,
  }, (context) => {
    if (!existsSync(SHARED)) context.skip('needs ../shared/data/regmix beside the clone')
    const [mixtures, losses, testMixtures, testLosses] = [
      'train_mixture_1m.csv',
      'train_pile_loss_1m.csv',
      'test_mixture_1m.csv',
      'test_pile_loss_1m.csv',
    ].map(readTable) as [Table, Table, Table, Table]
    const distance: Record<string, number> = {}
    for (const [name, published] of Object.entries(PUBLISHED)) {
      const column = losses.columns.indexOf(`metric/the_pile_${name}_val_loss`)
      const [targets, test] = [losses, testLosses].map(({ rows }) => rows.map((row) => row[column]!)) as [
        number[],
        number[],
      ]
      const heldOut = { rows: testMixtures.rows, targets: test, patience: 3 }
      const fit = fitBoostedTrees(mixtures.rows, targets, boostingFor(512), heldOut)
      const found = testMixtures.rows.map((row) => fit.predict(row))
      distance[name] = Math.abs(100 * spearman(found, test) - published)
      if (name !== 'pile_cc') continue
      const total = PILE.reduce((a, b) => a + b, 0)
      const space = { prior: PILE.map((q) => q / total), most: PILE.map(() => 1), seed: 0 }
      const best = bestMixture(space, (mixture) => fit.predict(mixture))
      const place = mixtures.columns.indexOf('train_the_pile_pile_cc')
      expect(Math.abs(best[place]! - 0.89)).toBeLessThan(0.01)
    }
    expect(Object.keys(distance)).toHaveLength(13)
    for (const [name, apart] of Object.entries(distance)) expect([name, apart < 0.3]).toEqual([name, true])
  })
})
type Table = ReturnType<typeof readTable>
