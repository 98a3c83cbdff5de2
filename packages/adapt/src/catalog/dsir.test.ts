import { describe, expect, it } from 'vitest'
import { fillOptions, type OptionsOf } from '../method/option-table.js'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { dsir, ngramImportance } from './dsir.js'
import { anchorsOf, textTools, toolsOf } from './preparation-tools.test.fixture.js'

type Options = OptionsOf<typeof ngramImportance.options>

const golden = openGolden<{
  readonly texts: readonly string[]
  readonly anchors: readonly { readonly source: string; readonly text: string }[]
  readonly logWeights: Readonly<Record<string, readonly number[]>>
  readonly lengths: readonly number[]
  readonly gumbel: readonly number[]
  readonly minLength: number
  readonly order: Readonly<Record<'tokens' | 'given', readonly number[]>>
}>('dsir').values
const SEED = 95
const ANCHORS = anchorsOf(
  golden.anchors.map(({ text }) => text),
  golden.anchors.map(({ source }) => source),
)
const LOG_WEIGHTS = golden.logWeights['2.10000.0']!

const warnings: string[] = []

async function scoresOf(
  options: Partial<Options>,
  texts: readonly string[] = golden.texts,
  anchors = ANCHORS,
) {
  const { data, ...tools } = textTools(texts)
  const origin = (index: number) => ({ path: 'p', id: `s${index}` })
  const prepared = await ngramImportance.prepare!(
    fillOptions(ngramImportance.options, options),
    toolsOf({
      ...tools,
      data: { ...data, origin } as never,
      anchorDocuments: anchors,
      seed: SEED,
      warn: (line) => warnings.push(line),
    }),
  )
  return [...prepared.score_P!]
}

const near = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b))
const orderOf = (scores: readonly number[]) =>
  [...scores.keys()].filter((i) => scores[i]! > -Infinity).sort((a, b) => scores[b]! - scores[a]!)

describe('dsir', () => {
  it('gives the log weights of the reference, and with noise those and its numbers', async () => {
    const plain = await scoresOf({ noise: 'none', minLength: 0 })
    for (const [i, value] of LOG_WEIGHTS.entries()) expect(near(plain[i]!, value)).toBe(true)
    const noisy = await scoresOf({ minLength: 0 })
    for (const [i, value] of LOG_WEIGHTS.entries())
      expect(near(noisy[i]!, value + golden.gumbel[i]!)).toBe(true)
  })

  it('never keeps a short sample, and counts it in the share that is kept', async () => {
    const scores = await scoresOf({ minLength: golden.minLength })
    expect(scores.map((score) => score > -Infinity)).toEqual(golden.lengths.map((n) => n >= golden.minLength))
    const gate = dsir.gate.create(fillOptions(dsir.gate.options, { keep: 0.5 }), stepFacts())
    const kept = weigh(gate, [...scores.slice(0, 6), -Infinity, -Infinity, -Infinity, -Infinity])
    expect(kept.reduce((a, b) => a + b, 0)).toBe(
      Math.min(5, scores.slice(0, 6).filter(Number.isFinite).length),
    )
    expect(kept.slice(6)).toEqual([0, 0, 0, 0])
  })

  it('says so when most samples are too short', async () => {
    const longest = Math.max(...golden.lengths)
    warnings.length = 0
    await scoresOf({ minLength: 0 })
    expect(warnings).toEqual([])
    await scoresOf({ minLength: longest })
    const long = golden.lengths.filter((length) => length === longest).length
    expect(warnings).toEqual([expect.stringContaining(`${long} of ${golden.texts.length} samples`)])
  })

  it('draws the worked two with their noise', () => {
    const gate = dsir.gate.create(fillOptions(dsir.gate.options, { keep: 0.5 }), stepFacts())
    const noise = [0.3665, -0.1, 1.2, 0.05]
    const scores = [-3.871201, 2.367124, -0.405465, 6.238324].map((score, i) => score + noise[i]!)
    expect(weigh(gate, scores)).toEqual([0, 1, 0, 1])
  })

  it('fills the quotas of separate targets in the order of the reference', async () => {
    const options = { targets: 'task', noise: 'none', laplace: 1, minLength: golden.minLength } as const
    expect(orderOf(await scoresOf(options))).toEqual(golden.order.tokens)
    const quotas = { law: 3, sql: 0, tea: 1 }
    expect(orderOf(await scoresOf({ ...options, quotas }))).toEqual(golden.order.given)
  })

  it('gives means over words, and how they stand in the pool, without noise', async () => {
    const mean = await scoresOf({ per: 'token', noise: 'none', minLength: 0 })
    for (const [i, value] of LOG_WEIGHTS.entries())
      expect(near(mean[i]!, value / Math.max(1, golden.lengths[i]!))).toBe(true)
    const z = await scoresOf({ per: 'token', scale: 'z', minLength: 0 })
    expect(z.reduce((a, b) => a + b, 0) / z.length).toBeCloseTo(0, 5)
    expect(Math.sqrt(z.reduce((sum, value) => sum + value ** 2, 0) / z.length)).toBeCloseTo(1, 5)
  })

  it('refuses samples that are all too short, anchors without words, and quotas of other tasks', async () => {
    await expect(scoresOf({ minLength: 1000 })).rejects.toMatchObject({ code: 'ALL_TOO_SHORT' })
    await expect(scoresOf({}, golden.texts, [])).rejects.toMatchObject({ code: 'NO_ANCHORS' })
    await expect(scoresOf({}, golden.texts, anchorsOf([' ']))).rejects.toMatchObject({ code: 'NO_ANCHORS' })
    for (const quotas of [{ law: 1 }, { law: 1, sql: 1, tea: 1, mars: 1 }, { law: 0, sql: 0, tea: 0 }])
      await expect(scoresOf({ targets: 'task', quotas, minLength: 0 })).rejects.toMatchObject({
        code: 'UNKNOWN_TASK',
      })
  })
})
