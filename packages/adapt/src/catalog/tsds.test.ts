import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { type Batch, buildBatch } from '../batch/index.js'
import { fillOptions, type OptionsOf, type PreparationTools } from '../method/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { toolsOf } from './preparation-tools.test.fixture.js'
import { transport } from './tsds.js'

type Options = OptionsOf<typeof transport.options>

const golden = openGolden<{
  readonly samples: readonly (readonly number[])[]
  readonly anchorTokens: readonly (readonly number[])[]
  readonly settings: readonly {
    readonly options: Partial<Options>
    readonly probabilities: readonly number[]
  }[]
}>('tsds')
const { samples, anchorTokens, settings } = golden.values
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

function dataOf(texts: readonly (readonly number[])[], labelled = (_: number) => true) {
  const sample = (index: number): TokenizedSample => ({
    ...{ index, id: `s${index}`, source: 's', weight: 1, path: 'p', line: 1 },
    tokens: Int32Array.from(texts[index]!),
    labelMask: Uint8Array.from(texts[index]!, (_, t) => (t > 0 && labelled(index) ? 1 : 0)),
  })
  const length = (index: number) => texts[index]!.length
  const labelCount = (index: number) => (labelled(index) ? length(index) : 0)
  return { numSamples: texts.length, sample, length, labelCount } as unknown as PreparationTools['data']
}

const ANCHORS: Batch[] = anchorTokens.map((_, i) =>
  buildBatch([[i]], dataOf(anchorTokens), { padId: 0, packing: false }),
)

async function prepared(options: Partial<Options> = {}, parts: Partial<PreparationTools> = {}) {
  let charged = 0
  const tools = toolsOf({
    ...{ data: dataOf(samples), anchors: ANCHORS, passes: 4, seed: 3, withModel: (_, use) => use(model) },
    async byChunk(_, width, compute) {
      const all = new Float32Array(width * samples.length)
      for (let start = 0; start < samples.length; start += 15) {
        const indexes = Array.from({ length: Math.min(15, samples.length - start) }, (_, i) => start + i)
        all.set(await compute(indexes), start * width)
      }
      return all
    },
    charge: (flops) => {
      charged += flops
    },
    ...parts,
  })
  const { score_P, figures } = await transport.prepare!(fillOptions(transport.options, options), tools)
  return { score: [...score_P!], figures, charged }
}

describe('tsds', () => {
  it.each([
    ...settings.entries(),
  ])('gives the probabilities of the reference (setting %d)', async (_, setting) => {
    const { score } = await prepared(setting.options)
    for (const [i, p] of setting.probabilities.entries()) expect(Math.abs(score[i]! - p)).toBeLessThan(1e-4)
    expect(score.reduce((a, b) => a + b)).toBeCloseTo(1, 5)
  })

  it('draws from the share that is embedded alone: by default what takes a quarter of training', async () => {
    const quarter = await prepared({}, { passes: 1 })
    expect(quarter.figures).toMatchObject({ scored: 30, anchors: 4 })
    expect(quarter.score.filter((p) => p > 0).length).toBeLessThanOrEqual(30)
    expect((await prepared({}, { passes: 2 })).figures!.scored).toBe(40)
    expect((await prepared({ scored: 0.5 })).figures!.scored).toBe(20)
    const tokens = [...samples, ...anchorTokens].flat().length
    const { charged } = await prepared({ sigma: 0 })
    expect(charged).toBe(2 * model.numParameters * tokens + 2 * model.config.hiddenSize * 4 * 40)
  })

  it('gives samples without labels nothing, and a single one all', async () => {
    const { score } = await prepared({}, { data: dataOf(samples, (index) => index % 2 === 0) })
    expect(score.filter((p, i) => i % 2 === 1 && p > 0)).toEqual([])
    const one = await prepared({}, { data: dataOf(samples, (index) => index === 5) })
    expect(one.score.map((p, i) => [p, i]).filter(([p]) => p !== 0)).toEqual([[1, 5]])
  })

  it('refuses no anchors and more numbers than it can keep, and leaves no tensor behind', async () => {
    await expect(prepared({}, { anchors: [] })).rejects.toMatchObject({ code: 'NO_ANCHORS' })
    const before = memoryStats().liveTensors
    await prepared()
    expect(memoryStats().liveTensors).toBe(before)
    const data = { ...dataOf(samples), numSamples: 2 ** 28, labelCount: () => 0 } as PreparationTools['data']
    await expect(prepared({ scored: 1e-9 }, { data })).rejects.toMatchObject({ code: 'OUT_OF_RANGE' })
  })
})
