import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { openGolden } from '../../model/golden.test.fixture.js'
import { logRatios, type NgramOptions, weighByNgrams } from './ngram-importance.js'

async function weigh(
  texts: readonly string[],
  targets: readonly (readonly string[])[],
  options: NgramOptions,
) {
  async function* source() {
    for (const [index, text] of texts.entries()) yield { index, text }
  }
  return await weighByNgrams(source, texts.length, targets, options)
}

const DEFAULTS: NgramOptions = { ngrams: 2, buckets: 10_000, laplace: 0 }

describe('logRatios', () => {
  it('gives the worked numbers, and their products with counts', () => {
    const ratios = [...logRatios(Float64Array.of(10, 10, 40, 40), Float64Array.of(40, 30, 20, 10), 0)]
    const expected = [-1.386294, -1.098612, Math.LN2, 1.386294]
    for (const [f, value] of expected.entries()) expect(ratios[f]).toBeCloseTo(value, 5)
    const samples = [
      [3, 1, 0, 1],
      [0, 1, 3, 1],
      [1, 1, 1, 1],
      [0, 0, 1, 4],
    ]
    const weights = samples.map((counts) => counts.reduce((sum, n, f) => sum + n * ratios[f]!, 0))
    for (const [i, value] of [-3.871201, 2.367124, -0.405465, 6.238324].entries())
      expect(weights[i]).toBeCloseTo(value, 5)
    const all = weights.reduce((sum, weight) => sum + Math.exp(weight), 0)
    for (const [i, value] of [0.00004, 0.020381, 0.001274, 0.978305].entries())
      expect(Math.exp(weights[i]!) / all).toBeCloseTo(value, 4)
  })

  it('keeps a bucket that only one side has finite, and smooths the target', () => {
    const [absent, both] = logRatios(Float64Array.of(0, 10), Float64Array.of(5, 5), 0)
    expect(absent).toBeCloseTo(Math.log(1e-8) - Math.log(0.5 + 1e-8), 12)
    expect(both).toBeCloseTo(Math.log(1 + 1e-8) - Math.log(0.5 + 1e-8), 12)
    const [smoothed] = logRatios(Float64Array.of(0, 10), Float64Array.of(5, 5), 1)
    expect(smoothed).toBeCloseTo(Math.log(1 / 12 + 1e-8) - Math.log(0.5 + 1e-8), 12)
  })
})

describe('weighByNgrams', () => {
  it('agrees with the reference for n-grams, buckets and smoothing of every kind', async () => {
    const { texts, anchors, logWeights, lengths } = openGolden<{
      readonly texts: readonly string[]
      readonly lengths: readonly number[]
      readonly anchors: readonly { readonly text: string }[]
      readonly logWeights: Readonly<Record<string, readonly number[]>>
    }>('dsir').values
    expect(Object.keys(logWeights)).toHaveLength(4)
    for (const [name, expected] of Object.entries(logWeights)) {
      const [ngrams, buckets, laplace] = /^(\d+)\.(\d+)\.(.+)$/.exec(name)!.slice(1).map(Number) as [
        number,
        number,
        number,
      ]
      const found = await weigh(texts, [anchors.map(({ text }) => text)], { ngrams, buckets, laplace })
      for (const [i, value] of expected.entries())
        expect(Math.abs(found.logWeight_PK[i]! - value)).toBeLessThan(1e-9 * Math.max(1, Math.abs(value)))
      expect([...found.length_P]).toEqual(lengths)
    }
  })

  it('gives every target its own weights', async () => {
    const texts = ['a b', 'c d']
    const { logWeight_PK } = await weigh(texts, [['a b'], ['c d']], DEFAULTS)
    const alone = [await weigh(texts, [['a b']], DEFAULTS), await weigh(texts, [['c d']], DEFAULTS)]
    for (const [k, { logWeight_PK: own }] of alone.entries())
      for (const i of [0, 1]) expect(logWeight_PK[2 * i + k]).toBe(own[i])
    expect(logWeight_PK[0]).toBeGreaterThan(logWeight_PK[1]!)
  })

  it('says how much of the pool the targets know nothing of', async () => {
    expect((await weigh(['a', 'b', 'a', 'c'], [['a']], DEFAULTS)).unseen).toBe(0.5)
  })

  it('reproduces the figures of the source’s code on real text', async (context) => {
    const path = (name: string) =>
      fileURLToPath(new URL(`../../../../../../shared/data/dsir/${name}`, import.meta.url))
    const rawFile = path('toy_pile_data.jsonl.gz')
    if (!existsSync(rawFile)) context.skip('needs ../shared/data/dsir beside the clone')
    const read = (lines: string) =>
      lines
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { contents: string }).contents)
    const raw = read(gunzipSync(readFileSync(rawFile)).toString())
    const target = read(readFileSync(path('toy_target_data.jsonl'), 'utf8'))
    const { logWeight_PK: weight } = await weigh(raw, [target], DEFAULTS)
    const first = [922.25736561, -1093.88589183, -2284.98258155, -2488.74742124, -2231.35652646]
    for (const [i, value] of first.entries()) expect(Math.abs(weight[i]! - value)).toBeLessThan(1e-6)
    const mean = weight.reduce((a, b) => a + b, 0) / weight.length
    expect(Math.abs(mean - -2302.715624)).toBeLessThan(1e-6)
    const squares = weight.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    expect(Math.abs(Math.sqrt(squares / weight.length) - 1098.89324)).toBeLessThan(1e-6)
    const best = [...weight.keys()].sort((a, b) => weight[b]! - weight[a]!).slice(0, 8)
    expect(best).toEqual([0, 35, 748, 756, 67, 250, 988, 493])
  })
})
