import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { buildBatch } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import { minMaxGate } from '../gate/index.js'
import type { OptionsOf, PreparationTools } from '../method/index.js'
import { weigh } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { contextGain } from './ica.js'
import { toolsOf } from './preparation-tools.test.fixture.js'

interface Sequence {
  readonly tokens: readonly number[]
  readonly prompt?: number
  readonly chat?: boolean
}

const golden = openGolden<{
  readonly samples: readonly Sequence[]
  readonly anchors: readonly Sequence[]
  readonly chosen: readonly number[][]
  readonly scores: readonly number[]
  readonly weights: readonly number[]
}>('ica')
const { samples: SAMPLES, anchors: ANCHORS, chosen, scores } = golden.values
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

function dataOf(sequences: readonly Sequence[]): PreparationTools['data'] {
  const sample = (index: number): TokenizedSample => {
    const { tokens, prompt = 1 } = sequences[index]!
    return {
      ...{ index, id: `s${index}`, source: 's', weight: 1, path: 'p', line: 1 },
      tokens: Int32Array.from(tokens),
      labelMask: Uint8Array.from(tokens, (_, t) => (t >= prompt ? 1 : 0)),
    }
  }
  return { numSamples: sequences.length, sample } as unknown as PreparationTools['data']
}

type Options = OptionsOf<typeof contextGain.options>
const DEFAULTS: Options = { k: 3, context: 'nearest', withoutGain: 'warn' }

async function prepared(options: Partial<Options> = {}, samples = SAMPLES, anchors = ANCHORS) {
  let charged = 0
  const warnings: string[] = []
  const data = dataOf(anchors)
  const tools = toolsOf({
    data: dataOf(samples),
    anchors: anchors.map((_, i) => buildBatch([[i]], data, { padId: 0, packing: false })),
    anchorDocuments: anchors.map(({ chat }) => ({ content: { kind: chat ? 'chat' : 'text' } }) as Document),
    specials: { startId: 1, eosId: 2 },
    withModel: (_, use) => use(model),
    async byChunk(_, width, compute) {
      const all = new Float32Array(width * samples.length)
      for (let start = 0; start < samples.length; start += 5) {
        const indexes = [...samples.keys()].slice(start, start + 5)
        all.set(await compute(indexes), start * width)
      }
      return all
    },
    charge: (flops) => {
      charged += flops
    },
    warn: (line) => warnings.push(line),
  })
  const { score_P, figures } = await contextGain.prepare!({ ...DEFAULTS, ...options }, tools)
  return { score: [...score_P!], figures: figures!, charged, warnings }
}

const close = (actual: readonly number[], expected: readonly number[], tolerance = 2e-5) => {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(tolerance)
}
const count = (sequences: readonly Sequence[]) => sequences.flatMap(({ tokens }) => tokens).length

describe('the gain in context', () => {
  it('is that of the reference, over texts, conversations, and what does not fit', async () => {
    const { score, figures } = await prepared()
    close(score, scores)
    close(weigh(minMaxGate.create({}, {} as never), score), golden.values.weights, 1e-4)
    const counts = chosen.map(({ length }) => length).filter((length) => length > 0)
    expect(figures.inContext).toBe(counts.length)
    expect(figures.demonstrations).toBeCloseTo(counts.reduce((a, b) => a + b, 0) / counts.length, 6)
  })

  it('changes with the number of anchors, and is the same for one as for the nearest alone', async () => {
    const one = await prepared({ k: 1 })
    const place = chosen.findIndex(({ length }) => length === 1)
    expect(one.score[place]).toBeCloseTo(scores[place]!, 5)
    expect(one.score[0]).not.toBeCloseTo(scores[0]!, 3)
  })

  it('has one context for all samples where that is asked for, without a look at what is near', async () => {
    const fixed = await prepared({ context: 'fixed', k: 1 }, SAMPLES.slice(0, 3))
    const alone = await Promise.all(
      ANCHORS.map(async (anchor) => (await prepared({ k: 1 }, SAMPLES.slice(0, 3), [anchor])).score),
    )
    const found = alone.filter((score) => score.every((value, i) => Math.abs(value - fixed.score[i]!) < 1e-6))
    expect(found).toHaveLength(1)
  })

  it('charges a forward of the pool, of the anchors, and of the pool in context', async () => {
    const [sample, anchor] = [SAMPLES[0]!, ANCHORS[0]!]
    const { charged } = await prepared({}, [sample], [anchor])
    const tokens = 2 * count([sample]) - 1 + 2 * count([anchor])
    expect(charged).toBe(2 * model.numParameters * tokens + 2 * model.config.hiddenSize)
  })

  it('never puts an anchor before itself', async () => {
    const anchor = ANCHORS[2]!
    const { score, figures } = await prepared({}, [{ tokens: anchor.tokens }], [anchor])
    expect([score, figures.inContext]).toEqual([[0], 0])
  })

  it('is refused, or warned of, where reading anchors gains nothing', async () => {
    const whole = await prepared()
    const samples = SAMPLES.filter((_, i) => scores[i]! < 0)
    expect(whole.warnings).toHaveLength(whole.figures.meanGain! > 0 ? 0 : 1)
    const { warnings, figures } = await prepared({}, samples)
    expect(figures.meanGain).toBeLessThan(0)
    expect(warnings).toEqual([expect.stringContaining('does not use what it reads')])
    await expect(prepared({ withoutGain: 'refuse' }, samples)).rejects.toMatchObject({
      code: 'NO_GAIN',
      exitCode: 3,
    })
    const long = [SAMPLES.at(-1)!]
    await expect(prepared({ withoutGain: 'refuse' }, long)).rejects.toThrow('no sample has room')
    await expect(prepared({}, SAMPLES, [])).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })

  it('leaves no tensor behind', async () => {
    await prepared()
    const before = memoryStats().liveTensors
    await prepared()
    expect(memoryStats().liveTensors).toBe(before)
  })
})
