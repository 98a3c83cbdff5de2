import { scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { type Batch, buildBatch } from '../batch/index.js'
import type { PreparationTools } from '../method/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { embedTokens, loadModelFolder, toModelInputs } from '../model/index.js'
import { frozenEmbedding, poolHidden } from '../signal/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { toolsOf } from './preparation-tools.test.fixture.js'

const golden = openGolden<{
  readonly samples: readonly (readonly number[])[]
  readonly anchors: readonly { readonly task: string; readonly tokens: readonly number[] }[]
  readonly mean: readonly number[]
}>('rds-plus')
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

function dataOf(texts: readonly (readonly number[])[]): PreparationTools['data'] {
  const sample = (index: number): TokenizedSample => ({
    ...{ index, id: `s${index}`, source: 's', weight: 1, path: 'p', line: 1 },
    tokens: Int32Array.from(texts[index]!),
    labelMask: Uint8Array.from(texts[index]!, (_, t) => (t === 0 ? 0 : 1)),
  })
  const parts = { numSamples: texts.length, sample, length: (index: number) => texts[index]!.length }
  return parts as unknown as PreparationTools['data']
}
const batchOf = (texts: readonly (readonly number[])[], index: number): Batch =>
  buildBatch([[index]], dataOf(texts), { padId: 0, packing: false })

const SAMPLES = golden.values.samples
const ANCHORS = golden.values.anchors.map(({ tokens }) => tokens)

async function prepared(center: boolean, anchors = ANCHORS) {
  let charged = 0
  const tools = toolsOf({
    data: dataOf(SAMPLES),
    anchors: anchors.map((_, v) => batchOf(anchors, v)),
    withModel: (_, use) => use(model),
    async byChunk(_, width, compute) {
      const all = new Float32Array(width * SAMPLES.length)
      for (let start = 0; start < SAMPLES.length; start += 7) {
        const count = Math.min(7, SAMPLES.length - start)
        const indexes = Array.from({ length: count }, (_, i) => start + i)
        all.set(await compute(indexes), start * width)
      }
      return all
    },
    charge: (flops) => {
      charged += flops
    },
  })
  const options = { pooling: 'position_weighted', tokens: 'all', center } as const
  const { score_P, figures } = await frozenEmbedding.prepare!(options, tools)
  return { scores: [...score_P!], charged, figures }
}

/** Pooled states of texts, one by one. */
const statesOf = (texts: readonly (readonly number[])[]) =>
  texts.map((_, i) =>
    scope(() => {
      const batch = batchOf(texts, i)
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device))
      const pooled = poolHidden(hidden_BTD, batch, { pooling: 'position_weighted', tokens: 'all' })
      return [...pooled.toFloat64Array()]
    }),
  )

describe('adapt-frozen', () => {
  it('without centring has the mean cosines of the reference', async () => {
    const { scores } = await prepared(false)
    for (const [i, value] of golden.values.mean.entries()) expect(scores[i]).toBeCloseTo(value, 5)
  })

  it('with centring has the mean over all pairs of cosines around the mean of the pool', async () => {
    const states = statesOf(SAMPLES)
    const mean = states[0]!.map((_, d) => states.reduce((sum, row) => sum + row[d]! / states.length, 0))
    const unit = (row: readonly number[]) => {
      const centred = row.map((value, d) => value - mean[d]!)
      return centred.map((value) => value / Math.hypot(...centred))
    }
    const anchors = statesOf(ANCHORS).map(unit)
    const { scores, figures } = await prepared(true)
    for (const [i, row] of states.entries()) {
      const own = unit(row)
      const cosines = anchors.map((anchor) => anchor.reduce((sum, value, d) => sum + value * own[d]!, 0))
      expect(scores[i]).toBeCloseTo(cosines.reduce((a, b) => a + b) / cosines.length, 5)
    }
    expect(figures).toEqual({ anchors: ANCHORS.length, averaged: SAMPLES.length })
  })

  it('charges the pool, again for its mean, and the anchors, as its cost says', async () => {
    const count = (texts: readonly (readonly number[])[]) => texts.flat().length
    const [pool, near] = [count(SAMPLES), count(ANCHORS)]
    const shape = {
      ...{ params: model.numParameters, trainable: 0, tokens: 1, steps: 1, stepsPerEpoch: 1 },
      ...{ samples: SAMPLES.length, tokensPerPass: pool, anchors: ANCHORS.length },
      tokensPerAnchor: near / ANCHORS.length,
    }
    for (const [center, passes] of [
      [false, 1],
      [true, 2],
    ] as const) {
      const { charged } = await prepared(center)
      expect(charged).toBe(2 * model.numParameters * (passes * pool + near))
      const options = { pooling: 'position_weighted', tokens: 'all', center } as const
      expect(frozenEmbedding.cost!(options, shape).preparation / charged).toBeCloseTo(1, 12)
    }
  })

  it('refuses no anchors', async () => {
    await expect(prepared(true, [])).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })
})
