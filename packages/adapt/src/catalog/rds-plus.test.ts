import { memoryStats, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { type Batch, buildBatch } from '../batch/index.js'
import { lookAt, type OptionsOf, type PreparationTools } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { ModelEmbeddingSignal, representation } from '../signal/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { toolsOf } from './preparation-tools.test.fixture.js'

type Options = OptionsOf<typeof representation.options>

const DEFAULTS: Options = {
  pooling: 'position_weighted',
  tokens: 'all',
  aggregate: 'round_robin',
  turns: 'auto',
  neighbors: 'all',
  scored: 'auto',
}
const golden = openGolden<{
  readonly samples: readonly (readonly number[])[]
  readonly anchors: readonly { readonly task: string; readonly tokens: readonly number[] }[]
  readonly mean: readonly number[]
  readonly max: readonly number[]
  readonly order: Readonly<Record<'anchor' | 'task', readonly number[]>>
}>('rds-plus')
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

function dataOf(
  samples: readonly (readonly number[])[],
  sources: readonly string[] = [],
): PreparationTools['data'] {
  const sample = (index: number): TokenizedSample => ({
    index,
    id: `s${index}`,
    source: sources[index] ?? 's',
    weight: 1,
    path: 'p',
    line: 1,
    tokens: Int32Array.from(samples[index]!),
    labelMask: Uint8Array.from(samples[index]!, (_, t) => (t === 0 ? 0 : 1)),
  })
  const parts = { numSamples: samples.length, sample, length: (index: number) => samples[index]!.length }
  return parts as unknown as PreparationTools['data']
}

function batchesOf(samples: readonly (readonly number[])[], sources: readonly string[]): Batch[] {
  const data = dataOf(samples, sources)
  return samples.map((_, i) => buildBatch([[i]], data, { padId: 0, packing: false }))
}

const TASKS = golden.values.anchors.map(({ task }) => task)
const ANCHORS = golden.values.anchors.map(({ tokens }) => tokens)

async function prepared(options: Partial<Options>, parts: Partial<PreparationTools> = {}) {
  let charged = 0
  const tools = toolsOf({
    data: dataOf(golden.values.samples),
    anchors: batchesOf(ANCHORS, TASKS),
    withModel: (_, use) => use(model),
    async byChunk(_, width, compute) {
      const numSamples = golden.values.samples.length
      const all = new Float32Array(width * numSamples)
      for (let start = 0; start < numSamples; start += 10) {
        const indexes = Array.from({ length: Math.min(10, numSamples - start) }, (_, i) => start + i)
        all.set(await compute(indexes), start * width)
      }
      return all
    },
    charge: (flops) => {
      charged += flops
    },
    ...parts,
  })
  const { score_P } = await representation.prepare!({ ...DEFAULTS, ...options }, tools)
  return { score: [...score_P!], charged }
}

const orderOf = (score: readonly number[]) => [...score.keys()].sort((a, b) => score[b]! - score[a]!)

describe('rds-plus', () => {
  it('takes samples in the order of the reference, anchors or tasks in turn', async () => {
    expect(orderOf((await prepared({ turns: 'anchor' })).score)).toEqual(golden.values.order.anchor)
    expect(orderOf((await prepared({ turns: 'task' })).score)).toEqual(golden.values.order.task)
    expect(orderOf((await prepared({})).score)).toEqual(golden.values.order.task)
    const oneTask = { anchors: batchesOf(ANCHORS, []) }
    expect(orderOf((await prepared({}, oneTask)).score)).toEqual(golden.values.order.anchor)
  })

  it('gives the reference’s mean and largest cosine', async () => {
    for (const aggregate of ['mean', 'max'] as const) {
      const { score } = await prepared({ aggregate })
      for (const [i, value] of golden.values[aggregate].entries()) expect(score[i]).toBeCloseTo(value, 5)
    }
  })

  it('gives what ADAPT gives to a model that does not move', async () => {
    const { score } = await prepared({ aggregate: 'mean' })
    const signal = new ModelEmbeddingSignal()
    const anchors = batchesOf(ANCHORS, TASKS)
    const look = (batch: Batch) => lookAt(model, batch, { autocastDtype: undefined, reference: undefined })
    const facts = stepFacts({ anchors, look })
    const data = dataOf(golden.values.samples)
    const batch = buildBatch(
      golden.values.samples.map((_, i) => [i]),
      data,
      { padId: 0, packing: false },
    )
    const online = scope(() => {
      signal.beforeStep(facts)
      return signal.score(look(batch)).toFloat32Array()
    })
    for (const [i, value] of score.entries()) expect(online[i]).toBeCloseTo(value, 6)
    signal.dispose()
  })

  it('charges a forward of the pool and the anchors, and the products of both', async () => {
    const count = (texts: readonly (readonly number[])[]) => texts.flat().length
    const [P, V, D] = [golden.values.samples.length, ANCHORS.length, model.config.hiddenSize]
    const tokens = count(golden.values.samples) + count(ANCHORS)
    expect((await prepared({})).charged).toBe(2 * model.numParameters * tokens + 2 * V * P * D)
  })

  it('refuses no anchors, and more similarities than it can keep', async () => {
    await expect(prepared({}, { anchors: [] })).rejects.toMatchObject({ code: 'NO_ANCHORS' })
    const data = { numSamples: 2 ** 28 } as PreparationTools['data']
    await expect(prepared({ turns: 'anchor' }, { data })).rejects.toMatchObject({ code: 'OUT_OF_RANGE' })
  })

  it('leaves no tensor behind', async () => {
    await prepared({})
    const before = memoryStats().liveTensors
    await prepared({})
    expect(memoryStats().liveTensors).toBe(before)
  })
})
