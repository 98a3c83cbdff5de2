import { memoryStats, type Tensor, tensor } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { topFraction } from '../gate/index.js'
import { type OptionsOf, type PreparationTools, type ProxyRun, scoresOf } from '../method/index.js'
import { scoresFor, stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { calibratePath, calibrationFlops, specificity } from './path-calibration.js'
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
  calibrate: 'off',
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
    sampleGradient: () => tensor([1, 1], [2]),
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

describe('a path that is chosen by folds of the anchors', () => {
  const ANCHORS = 7
  const UNLABELLED = 4
  const anchors = [
    batchOf(
      Array.from({ length: ANCHORS }, (_, v) => [
        { tokens: [3 + v, 4, 5], ...(v === UNLABELLED ? { labelsFrom: 3 } : {}) },
      ]),
    ),
  ]
  const GENERIC = 100
  const pool = {
    numSamples: 9,
    sample: (index: number) => ({
      ...{ index, id: `s${index}`, source: 's', weight: 1, path: 'p', line: 1 },
      tokens: Int32Array.of(GENERIC, 4, 5),
      labelMask: Uint8Array.of(0, 1, 1),
    }),
    labelCount: () => 2,
  } as unknown as PreparationTools['data']
  const DEPTHS = [2, 4, 8, 12, 16, 32, 64]

  /** @param nearness  Cosine of a path's own gradient to that of held-out anchors, by learning rate and depth. */
  async function calibrated(nearness: (rate: number, depth: number) => number, given = anchors) {
    const runs: ProxyRun[] = []
    const looks: { readonly name: string; readonly own: number[]; readonly others: number[] }[] = []
    let charged = 0
    const tools = toolsOf({
      data: pool,
      anchors: given,
      totalSteps: 7,
      async train(run) {
        runs.push(run)
        return {
          checkpoints: run.checkpointsAt!.map((at) => ({ folder: `${run.name} ${at}`, learningRate: 1 })),
          lastEvents: new Map(),
        }
      },
      withModel: (folder, use) => use({ folder, numParameters: 10 } as never),
      sampleGradient: (model, batch) => {
        const [name, at] = (model as unknown as { folder: string }).folder.split(' ') as [string, string]
        const run = runs.find((one) => one.name === name)!
        const anchor = batch.tokens_BT[0]! - 3
        const isGeneric = batch.tokens_BT[0] === GENERIC
        const isOwn = !isGeneric && run.keep!(anchor)
        const key = `${name} ${at}`
        const look = looks.find((one) => one.name === key) ?? { name: key, own: [], others: [] }
        if (!looks.includes(look)) looks.push(look)
        if (!isGeneric) (isOwn ? look.own : look.others).push(anchor)
        const { learningRate } = run.optimiser!
        const cosine = isOwn ? 1 : isGeneric ? 0.1 : nearness(learningRate, Math.round(64 * Number(at)))
        return tensor([cosine, Math.sqrt(1 - cosine ** 2)], [2])
      },
      charge: (flops) => {
        charged += flops
      },
    })
    const found = await calibratePath(tools, async ({ name, learningRate, anchors: own, depths }) => {
      const { checkpoints } = await tools.train({
        ...{ name, method: 'uniform', data: 'anchors', steps: 1 },
        optimiser: { learningRate, batchSize: 1 },
        keep: (place) => own.includes(place),
        checkpointsAt: depths.map((depth) => depth / depths.at(-1)!),
      })
      return checkpoints.map(({ folder }) => folder)
    })
    return { found, runs, looks, charged }
  }

  it('gives the worked specificity', () => {
    const [fold, heldOut, generic] = [
      [1, 0.5, 0],
      [0.8, 0.8, 0.2],
      [0.5, -0.2, 1],
    ].map((values) => tensor(values, [3])) as [Tensor, Tensor, Tensor]
    expect(specificity(fold, heldOut, generic)).toBeCloseTo(0.619199, 5)
  })

  it('has the learning rate and depth that are most specific, the shallower and slower of equal ones', async () => {
    const { found } = await calibrated((rate, depth) => (rate === 2e-5 && depth === 12 ? 0.9 : 0.4))
    expect(found).toMatchObject({ learningRate: 2e-5, depth: 12 })
    expect(found.specificity).toBeCloseTo(0.8, 5)
    const equal = await calibrated((rate, depth) => (depth === 2 && rate === 1e-5 ? 0.1 : 0.5))
    expect(equal.found).toMatchObject({ learningRate: 2e-5, depth: 2 })
    expect((await calibrated(() => 0.5)).found).toMatchObject({ learningRate: 1e-5, depth: 2 })
  })

  it('trains on two folds and looks at the third, over all anchors with a label', async () => {
    const { runs, looks, charged } = await calibrated(() => 0.5)
    expect(runs.map(({ optimiser }) => optimiser!.learningRate)).toEqual(
      [1e-5, 2e-5, 5e-5].flatMap((rate) => [rate, rate, rate]),
    )
    const labelled = Array.from({ length: ANCHORS }, (_, v) => v).filter((v) => v !== UNLABELLED)
    expect(looks).toHaveLength(9 * DEPTHS.length)
    for (const { own, others } of looks) {
      expect([own.length, others.length]).toEqual([4, 2])
      expect([...own, ...others].sort()).toEqual(labelled)
    }
    const heldOut = looks
      .filter(({ name }) => /^path-1-fold-\d 1$/.test(name))
      .flatMap(({ others }) => others)
    expect(heldOut.sort()).toEqual(labelled)
    const shape = {
      ...{ params: 10, trainable: 1, tokens: 1, steps: 1, stepsPerEpoch: 1 },
      ...{ samples: 9, tokensPerPass: 27, anchors: 6, tokensPerAnchor: 3 },
    }
    // 63 looks at 6 anchors and 9 samples of 3 tokens each, 4 N a token.
    expect(charged).toBe(63 * 15 * 3 * 4 * 10)
    expect(calibrationFlops(0, shape)).toBeCloseTo(charged, 6)
    // Nine paths of 64 units over 4 anchors.
    expect(calibrationFlops(5, shape) - calibrationFlops(0, shape)).toBeCloseTo(9 * 64 * 5 * 4 * 3 * 40, 3)
  })

  it('is followed by the path of all anchors, and says what was chosen', async () => {
    const { figures, run, opened } = await prepared({ calibrate: 'folds' }, 3)
    expect(run).toMatchObject({ name: 'path-1-fold-1', checkpointsAt: DEPTHS.map((depth) => depth / 64) })
    // 2 anchors, 5 times a unit, 64 units.
    expect(run.steps * 7).toBeCloseTo(640, 9)
    expect(figures).toMatchObject({ depth: 2, learningRate: 1e-5 })
    expect(opened).toHaveLength(9 * DEPTHS.length + 2)
  })

  it('needs an anchor for each fold', async () => {
    const few = [batchOf([[{ tokens: [3, 4] }], [{ tokens: [4, 5] }]])]
    await expect(calibrated(() => 0.5, few)).rejects.toMatchObject({ code: 'NO_ANCHORS', exitCode: 2 })
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
