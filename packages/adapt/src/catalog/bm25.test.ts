import { describe, expect, it } from 'vitest'
import type { OptionsOf } from '../method/option-table.js'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { bm25Signal } from './bm25.js'
import { partsOf } from './method-parts.js'
import { anchorsOf, textTools, toolsOf } from './preparation-tools.test.fixture.js'
import { resolveMethod } from './resolve-method.js'

type Options = OptionsOf<typeof bm25Signal.options>
type Texts = Parameters<typeof textTools>[0]

const DEFAULTS: Options = {
  k1: 1.5,
  b: 0.75,
  idf: 'okapi',
  roles: 'anchor_queries',
  queries: 'anchor',
  indexed: 'prompt',
  terms: 'ccds',
  scale: 'raw',
}
const TEXTS = ['the cat sat', 'the dog sat on the mat', 'quantum physics exam', 'the history exam question']
const ANCHORS = ['physics exam', 'history question exam']

async function scoresOf(texts: Texts, anchors: ReturnType<typeof anchorsOf>, options: Partial<Options> = {}) {
  const tools = toolsOf({ ...textTools(texts), anchorDocuments: anchors })
  const { score_P } = await bm25Signal.prepare!({ ...DEFAULTS, ...options }, tools)
  return [...score_P!]
}

function expectClose(received: readonly number[], expected: readonly number[]): void {
  expect(received.length).toBe(expected.length)
  const scale = Math.max(1, ...expected.map(Math.abs))
  for (const [i, value] of expected.entries())
    expect(Math.abs(received[i]! - value) / scale).toBeLessThan(1e-6)
}

describe('bm25', () => {
  it('gives the worked numbers', async () => {
    expectClose(await scoresOf(TEXTS, anchorsOf(ANCHORS)), [0, 0, 0.477351, 0.847298])
    const lucene = { idf: 'lucene' } as const
    expectClose(await scoresOf(TEXTS, anchorsOf(ANCHORS), lucene), [0, 0, 1.459305, 1.89712])
    const z = await scoresOf(TEXTS, anchorsOf(ANCHORS), { ...lucene, scale: 'z' })
    expectClose(z, [-0.983408, -0.983408, 0.726855, 1.23996])
    const weights = z.map((score) => 1 / (1 + Math.exp(-score)))
    expectClose(weights, [0.272216, 0.272216, 0.674115, 0.775557])
    expect(weights.reduce((a, b) => a + b, 0) / 4).toBeCloseTo(0.498526, 6)
    const raw = [0, 0, 1.459305, 1.89712].map((score) => 1 / (1 + Math.exp(-score)))
    expectClose(raw, [0.5, 0.5, 0.811426, 0.869565])
    expect(raw.reduce((a, b) => a + b, 0) / 4).toBeCloseTo(0.670248, 6)
  })

  it('agrees with the reference for every rule, query and idf', async () => {
    const { texts, anchors, scores } = openGolden<{
      readonly texts: readonly string[]
      readonly anchors: readonly { readonly source: string; readonly text: string }[]
      readonly scores: Readonly<Record<string, readonly number[]>>
    }>('bm25').values
    const documents = anchorsOf(
      anchors.map(({ text }) => text),
      anchors.map(({ source }) => source),
    )
    expect(Object.keys(scores).length).toBe(12)
    for (const [name, expected] of Object.entries(scores)) {
      const [terms, queries, variant] = name.split('.') as [Options['terms'], Options['queries'], string]
      const options: Partial<Options> =
        variant === 'anchor_docs'
          ? { roles: 'anchor_docs', idf: 'lucene' }
          : { idf: variant as Options['idf'] }
      expectClose(await scoresOf(texts, documents, { terms, queries, ...options }), expected)
    }
  })

  it('agrees with the reference as adapt-bm25, scores and weights', async () => {
    const { texts, anchors, z, weights } = openGolden<{
      readonly texts: readonly string[]
      readonly anchors: readonly { readonly source: string; readonly text: string }[]
      readonly z: readonly number[]
      readonly weights: readonly number[]
    }>('adapt-bm25').values
    const method = resolveMethod({ preset: 'adapt-bm25' }, (_, message) => {
      throw new Error(message)
    })
    const { gate, gateOptions, signalOptions } = partsOf(method)
    const documents = anchorsOf(
      anchors.map(({ text }) => text),
      anchors.map(({ source }) => source),
    )
    const scores = await scoresOf(texts, documents, signalOptions as unknown as Options)
    expectClose(scores, z)
    expectClose(weigh(gate.create(gateOptions, stepFacts()), scores), weights)
  })

  it('reads the prompt, the whole text where there is none, or everything when told so', async () => {
    const texts: Texts = [['tea', ' court'], ['court', ' tea'], 'tea court']
    const about = await scoresOf(texts, anchorsOf(['tea']), { idf: 'lucene' })
    expect(about.map((score) => score > 0)).toEqual([true, false, true])
    const whole = await scoresOf(texts, anchorsOf(['tea']), { idf: 'lucene', indexed: 'text' })
    expect(new Set(whole).size).toBe(1)
    expect(whole[0]).toBeGreaterThan(0)
  })

  it('refuses a pool in which nothing tells samples apart, and no anchors', async () => {
    await expect(scoresOf(['a b', 'c'], anchorsOf(['x y']))).rejects.toMatchObject({
      code: 'NO_SHARED_WORDS',
    })
    await expect(scoresOf(['', ''], anchorsOf(['x']), { terms: 'whitespace' })).rejects.toMatchObject({
      code: 'NO_SHARED_WORDS',
    })
    await expect(scoresOf(['a'], [])).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })

  it('scores a single sample', async () => {
    expect(await scoresOf(['tea time'], anchorsOf(['tea']), { idf: 'lucene', scale: 'z' })).toEqual([0])
  })
})
