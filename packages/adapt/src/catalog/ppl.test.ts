import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { fillOptions, type OptionsOf } from '../method/option-table.js'
import type { PreparationTools } from '../method/preparation.js'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { perplexity, ppl, windowsOf } from './ppl.js'
import { toolsOf } from './preparation-tools.test.fixture.js'

type Options = OptionsOf<typeof perplexity.options>

const golden = openGolden<{
  readonly samples: readonly (readonly number[])[]
  readonly prompts: readonly number[]
  readonly scores: Readonly<Record<string, readonly number[]>>
}>('ppl')
const { samples, prompts, scores } = golden.values
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

async function prepared(options: Partial<Options>, chunk = samples.length, named: string[] = []) {
  let charged = 0
  const sample = (index: number) =>
    ({
      index,
      tokens: Int32Array.from(samples[index]!),
      labelMask: Uint8Array.from(samples[index]!, (_, t) => (t > 0 && t >= prompts[index]! ? 1 : 0)),
    }) as unknown as TokenizedSample
  const tools = toolsOf({
    data: { numSamples: samples.length, sample } as unknown as PreparationTools['data'],
    modelFolder: (path, key) => `${key} ${path}`,
    withModel(folder, use) {
      named.push(folder ?? 'base')
      return use(model)
    },
    async byChunk(_, width, compute) {
      const all = new Float32Array(width * samples.length)
      for (let start = 0; start < samples.length; start += chunk) {
        const indexes = samples.map((_, i) => i).slice(start, start + chunk)
        all.set(await compute(indexes), start * width)
      }
      return all
    },
    charge: (flops) => {
      charged += flops
    },
  })
  const { score_P } = await perplexity.prepare!(fillOptions(perplexity.options, options), tools)
  return { score: [...score_P!], charged }
}

const count = (mask: Uint8Array) => mask.reduce((sum, one) => sum + one, 0)

describe('ppl', () => {
  it('agrees with the reference: whole samples and windows, all tokens and responses, both means', async () => {
    expect(Object.keys(scores)).toHaveLength(8)
    for (const [name, expected] of Object.entries(scores)) {
      const [window, stride, tokens, average] = name.split('.') as [string, string, 'all', 'window']
      const { score } = await prepared({ window: Number(window), stride: Number(stride), tokens, average })
      for (const [i, value] of expected.entries())
        expect(Math.abs(score[i]! - value) / value).toBeLessThan(1e-4)
    }
  })

  it('gives a sample the same score whatever is read beside it', async () => {
    const [together, alone] = [await prepared({}), await prepared({}, 1)]
    for (const [i, value] of together.score.entries()) expect(alone.score[i]! / value).toBeCloseTo(1, 5)
  })

  it('reads 5000 tokens in windows of 2048, 512 apart, each token labelled once', () => {
    const options = { tokens: 'all', window: 2048, stride: 512 } as const
    const windows = windowsOf({ tokens: new Int32Array(5000), labelMask: new Uint8Array(5000) }, options)
    // The first token has nothing before it.
    expect(windows.map(({ labelMask }) => count(labelMask))).toEqual([2047, 512, 512, 512, 512, 512, 392])
    expect(windows.map(({ tokens }) => tokens.length)).toEqual([2048, 2048, 2048, 2048, 2048, 2048, 1928])
  })

  it('keeps the worked samples: the lowest, the highest, or the one in the middle', () => {
    const scoresOf = [
      [0.5, 1, 1.5],
      [2, 2, 2],
      [0.1, 0.2, 0.3],
    ].map((losses) => Math.exp(losses.reduce((a, b) => a + b, 0) / 3))
    for (const [i, value] of [Math.E, 7.389056, 1.221403].entries()) expect(scoresOf[i]).toBeCloseTo(value, 6)
    const kept = (end: 'lowest' | 'highest' | 'middle') =>
      weigh(ppl.gate.create(fillOptions(ppl.gate.options, { keep: 0.34, end }), stepFacts()), scoresOf)
    expect(kept('lowest')).toEqual([0, 0, 1])
    expect(kept('highest')).toEqual([0, 1, 0])
    expect(kept('middle')).toEqual([1, 0, 0])
  })

  it('charges a forward of all windows', async () => {
    const tokens = samples.flat().length
    expect((await prepared({})).charged).toBe(2 * model.numParameters * tokens)
    expect((await prepared({ window: 9, stride: 4 })).charged).toBeGreaterThan(
      2 * model.numParameters * tokens,
    )
  })

  it('reads another model when one is named, as part of what the scores depend on', async () => {
    const named: string[] = []
    await prepared({}, samples.length, named)
    await prepared({ model: 'teacher' }, samples.length, named)
    expect(named).toEqual(['base', 'method.signal.model teacher'])
    const readsOf = (options: Partial<Options>) =>
      perplexity.readsModels!(fillOptions(perplexity.options, options))
    expect([readsOf({}), readsOf({ model: 'teacher' })]).toEqual([{}, { model: 'teacher' }])
  })

  it('refuses a stride that leaves gaps, and windows longer than the model has positions', async () => {
    const problems = (options: Partial<Options>) =>
      perplexity.check!(fillOptions(perplexity.options, options))
    expect(problems({ window: 512 }).map(({ key }) => key)).toEqual(['stride'])
    expect(problems({})).toEqual([])
    const { maxPositionEmbeddings } = model.config
    const long = { ...golden.values.samples, length: 1, 0: new Array(maxPositionEmbeddings + 1).fill(3) }
    const data = {
      numSamples: 1,
      sample: () => ({ tokens: Int32Array.from(long[0]), labelMask: new Uint8Array(long[0].length) }),
    } as unknown as PreparationTools['data']
    const tools = toolsOf({
      data,
      withModel: (_, use) => use(model),
      byChunk: async (_name, _width, compute) => await compute([0]),
    })
    await expect(perplexity.prepare!(fillOptions(perplexity.options, {}), tools)).rejects.toMatchObject({
      code: 'OUT_OF_RANGE',
    })
  })

  it('leaves no tensor behind', async () => {
    await prepared({})
    const before = memoryStats().liveTensors
    await prepared({})
    expect(memoryStats().liveTensors).toBe(before)
  })
})
