import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { topFraction } from '../gate/index.js'
import { type OptionsOf, type PreparationTools, type ProxyRun, scoresOf } from '../method/index.js'
import { scoresFor, stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { toolsOf } from './preparation-tools.test.fixture.js'
import { pathGain } from './tacs.js'

type Variant = 'first' | 'none' | 'floor'
const golden = openGolden<{
  readonly samples: readonly { readonly tokens: number[]; readonly prompt: number; readonly source: string }[]
  readonly keep: number
  readonly scores: Readonly<Record<Variant, readonly (number | null)[]>>
  readonly kept: Readonly<Record<Variant, readonly number[]>>
}>('tacs')
const { samples, keep } = golden.values
const MODELS = {
  base: loadModelFolder(golden.modelFolder, { requiresGrad: false }),
  unit: loadModelFolder(golden.modelFolder, { requiresGrad: false }),
  end: loadModelFolder(openGolden('llama-two-layer-tied').modelFolder, { requiresGrad: false }),
}
afterAll(() => {
  for (const model of Object.values(MODELS)) model.dispose()
})

const sampleAt = (index: number): TokenizedSample => {
  const { tokens, prompt, source } = samples[index]!
  return {
    ...{ index, id: `s${index}`, source, weight: 1, path: 'p', line: 1 },
    tokens: Int32Array.from(tokens),
    labelMask: Uint8Array.from(tokens, (_, t) => (t >= prompt ? 1 : 0)),
  }
}
const data = {
  numSamples: samples.length,
  sample: sampleAt,
  labelCount: (index: number) => Math.max(0, samples[index]!.tokens.length - samples[index]!.prompt),
} as unknown as PreparationTools['data']

type Options = OptionsOf<typeof pathGain.options>
const DEFAULTS: Options = {
  depth: 2,
  epochsPerUnit: 5,
  pathLearningRate: 1e-5,
  first: 'unit',
  divide: 'loss',
  floor: 0,
  scored: 'auto',
}

async function prepared(options: Partial<Options> = {}, anchors = 3) {
  let charged = 0
  const runs: ProxyRun[] = []
  const opened: (string | undefined)[] = []
  const tools = toolsOf({
    data,
    totalSteps: 7,
    anchors: anchors === 0 ? [] : [batchOf(Array.from({ length: anchors }, () => [{ tokens: [3, 4] }]))],
    async train(run) {
      runs.push(run)
      const folders = run.checkpointsAt!.map((at) => (at === 1 ? 'end' : 'unit'))
      return {
        checkpoints: folders.map((folder) => ({ folder, learningRate: 1 })),
        lastEvents: new Map(),
      }
    },
    withModel: (folder, use) => {
      opened.push(folder)
      return use(MODELS[(folder ?? 'base') as keyof typeof MODELS])
    },
    async byChunk(_, __, compute) {
      const places = [...samples.keys()]
      const halves = [await compute(places.slice(0, 9)), await compute(places.slice(9))]
      return Float32Array.from(halves.flatMap((half) => [...half]))
    },
    charge: (flops) => {
      charged += flops
    },
  })
  const { score_P, figures } = await pathGain.prepare!({ ...DEFAULTS, ...options }, tools)
  return { score: [...score_P!], figures: figures!, charged, run: runs[0]!, opened }
}

const VARIANTS: Readonly<Record<Variant, Partial<Options>>> = {
  first: {},
  none: { divide: 'none' },
  floor: { floor: 6 },
}

describe.each(
  Object.keys(VARIANTS) as Variant[],
)('the fall of losses along a path (divide: %s)', (variant) => {
  it('is that of the reference, and keeps the same share of each source', async () => {
    const { score } = await prepared(VARIANTS[variant])
    for (const [i, value] of golden.values.scores[variant].entries()) {
      if (value === null) expect(score[i]).toBe(-Infinity)
      else expect(Math.abs(score[i]! - value)).toBeLessThan(2e-5)
    }
    const labelled = [...samples.keys()].filter((i) => data.labelCount(i) > 0)
    const gate = topFraction.create(
      { keep, end: 'highest', ties: 'place', balanced: false, shareOf: 'source' },
      stepFacts(),
    )
    const facts = stepFacts({
      data: {
        sources: ['a', 'b'],
        sourceIndex: (i: number) => (samples[i]!.source === 'a' ? 0 : 1),
      } as never,
    })
    const scores = scoresFor(
      labelled.map((i) => score[i]!),
      labelled,
      facts,
    )
    const weights = gate
      .weights(scoresOf(scores.score, labelled, scores.labels, facts), facts)
      .toFloat32Array()
    expect(labelled.filter((_, place) => weights[place] === 1)).toEqual(golden.values.kept[variant])
  })
})

describe('the worked example', () => {
  it('is in the golden program; the path is trained as it says', async () => {
    const { run, opened } = await prepared({ depth: 4 })
    expect(run).toMatchObject({
      data: 'anchors',
      adapter: { r: 1, alpha: 4, dropout: 0.1 },
      optimiser: { learningRate: 1e-5, batchSize: 1 },
      checkpointsAt: [0.25, 1],
    })
    // 3 anchors, 5 times a unit, 4 units.
    expect(run.steps * 7).toBeCloseTo(60, 9)
    expect(opened).toEqual(['unit', 'end'])
  })

  it('may begin at the model before the path', async () => {
    const { run, opened, score } = await prepared({ first: 'base', depth: 1 })
    expect([run.checkpointsAt, opened]).toEqual([[1], [undefined, 'end']])
    expect(score[0]).toBeCloseTo(golden.values.scores.first[0]!, 4)
  })

  it('has no first unit before its only one', () => {
    expect(pathGain.check!({ ...DEFAULTS, depth: 1 })).toMatchObject([{ key: 'depth' }])
    expect(pathGain.check!({ ...DEFAULTS, depth: 1, first: 'base' })).toEqual([])
  })
})

describe('what is said of the scores', () => {
  it('is their mean fall and that a second scoring, sample by sample, ranks them alike', async () => {
    const { figures, charged } = await prepared()
    expect(figures.repeatCorrelation).toBeGreaterThan(0.999)
    const tokens = samples.flatMap((sample) => sample.tokens).length
    const unlabelled = samples[6]!.tokens.length
    const forwards = (2 * tokens - unlabelled) * (MODELS.unit.numParameters + MODELS.end.numParameters)
    expect(charged).toBe(2 * forwards)
  })

  it('refuses no anchors', async () => {
    await expect(prepared({}, 0)).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })

  it('leaves no tensor behind', async () => {
    await prepared()
    const before = memoryStats().liveTensors
    await prepared()
    expect(memoryStats().liveTensors).toBe(before)
  })
})
