import { memoryStats, noGrad, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { buildBatch } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import { minMaxGate } from '../gate/index.js'
import { type Artefact, lookAt, type OptionsOf, type PreparationTools } from '../method/index.js'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { type CausalLM, loadModelFolder } from '../model/index.js'
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
const other = loadModelFolder(openGolden('llama-two-layer-tied').modelFolder, { requiresGrad: false })
afterAll(() => {
  model.dispose()
  other.dispose()
})

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
const DEFAULTS: Options = { k: 3, context: 'nearest', rounds: 1, scored: 'auto', withoutGain: 'warn' }

const batchesOf = (sequences: readonly Sequence[]) => {
  const data = dataOf(sequences)
  return sequences.map((_, i) => buildBatch([[i]], data, { padId: 0, packing: false }))
}

async function prepared(options: Partial<Options> = {}, samples = SAMPLES, anchors = ANCHORS, start = model) {
  let charged = 0
  const warnings: string[] = []
  const tools = toolsOf({
    data: dataOf(samples),
    anchors: batchesOf(anchors),
    anchorDocuments: anchors.map(({ chat }) => ({ content: { kind: chat ? 'chat' : 'text' } }) as Document),
    specials: { startId: 1, eosId: 2 },
    withModel: (_, use) => use(start),
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
  const artefact = await contextGain.prepare!({ ...DEFAULTS, ...options }, tools)
  const { score_P, figures } = artefact
  return { score: [...score_P!], figures: figures!, charged, warnings, artefact }
}

/** Scores of the second of two rounds, under a model. */
function laterRound(artefact: Artefact, now: CausalLM, options: Partial<Options> = {}) {
  let charged = 0
  const facts = stepFacts({
    device: now.device,
    anchors: batchesOf(ANCHORS),
    look: (batch, how) => lookAt(now, batch, { ...how, autocastDtype: undefined, reference: undefined }),
    charge: (tokens) => (charged += tokens),
  })
  const rescoring = contextGain.rescoring!({ ...DEFAULTS, rounds: 2, ...options }, facts, artefact)
  const wanted = [...Array.from(rescoring.wants(facts.totalSteps / 2)!)]
  const data = dataOf(SAMPLES)
  const batch = buildBatch(
    wanted.map((i) => [i]),
    data,
    { padId: 0, packing: false },
  )
  const score = noGrad(() => scope(() => [...rescoring.score(batch, facts).toFloat32Array()]))
  return { rescoring, wanted, score, charged }
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

  it('is in a later round that of the model as it is, behind the demonstrations of before training', async () => {
    const { artefact, figures } = await prepared()
    const { wanted, score, charged } = laterRound(artefact, model)
    expect(wanted).toEqual([...chosen.keys()].filter((i) => chosen[i]!.length > 0))
    expect(wanted).toHaveLength(figures.inContext!)
    close(
      score,
      wanted.map((i) => scores[i]!),
    )
    const plain = count(wanted.map((i) => SAMPLES[i]!))
    const before = count(wanted.flatMap((i) => chosen[i]!.map((v) => ANCHORS[v]!)))
    // Start tokens that are left out, and ends that are added, are a few.
    expect(Math.abs(charged - (2 * plain + before))).toBeLessThan(4 * wanted.length)
    // Demonstrations that are drawn hang on no model: of another one it is all that its own first round would say.
    const fixed = { context: 'fixed' } as const
    const [drawn, ofOther] = [await prepared(fixed), await prepared(fixed, SAMPLES, ANCHORS, other)]
    const later = laterRound(drawn.artefact, other, fixed)
    close(
      later.score,
      later.wanted.map((i) => ofOther.score[i]!),
    )
    expect(Math.abs(later.score[0]! - drawn.score[0]!)).toBeGreaterThan(1e-3)
  })

  it('is scored anew after equal parts of a run, and ends it where it is not above 0 and that is refused', async () => {
    const { artefact } = await prepared()
    const startsOf = (rounds: number) => {
      const { wants } = contextGain.rescoring!({ ...DEFAULTS, rounds }, stepFacts(), artefact)
      return Array.from({ length: 12 }, (_, step) => step).filter((step) => wants(step))
    }
    expect([1, 2, 3, 5, 30].map(startsOf)).toEqual([
      [],
      [5],
      [3, 7],
      [2, 4, 6, 8],
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    ])
    const pool = (score: number) => ({
      index: [0],
      score: Float32Array.of(score),
      labels: Float64Array.of(1),
    })
    const warned = laterRound(artefact, model).rescoring
    expect(warned.figures!(pool(-0.5))).toEqual({ meanGain: -0.5 })
    const { rescoring } = laterRound(artefact, model, { withoutGain: 'refuse' })
    expect(rescoring.figures!(pool(0.5))).toEqual({ meanGain: 0.5 })
    expect(() => rescoring.figures!(pool(-0.5))).toThrow('does not use what it reads')
    expect(() => contextGain.rescoring!({ ...DEFAULTS, rounds: 2 }, stepFacts(), {})).toThrow('first round')
  })

  it('leaves no tensor behind', async () => {
    await prepared()
    const before = memoryStats().liveTensors
    await prepared()
    expect(memoryStats().liveTensors).toBe(before)
  })
})
