/** In-context approximation, arXiv 2510.14459. P samples of the pool, V anchors, D width, S samples of a batch. Page: docs/methods/ica.md. */
import { cat, clone, matmul, nn, noGrad, scope, type Tensor, tensor, transpose } from '@adapt-ts/torch'
import { type Batch, createPermutation } from '../batch/index.js'
import { ConfigError, DataError } from '../errors.js'
import { minMaxGate } from '../gate/index.js'
import {
  type Artefact,
  defineMethod,
  defineSignal,
  oneOf,
  type PreparationTools,
  type Rescoring,
  type RunFacts,
  SCORED,
  whole,
} from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  countTokens,
  cutSamples,
  type Demonstration,
  demonstrationsOf,
  frozenLosses,
  frozenStates,
  inContext,
  isSame,
  nearestPlaces,
  poolHidden,
  sampleBatches,
  samplesOf,
} from '../signal/index.js'
import type { TokenizedSample } from '../tokenize/index.js'

/** Tells the draw of fixed demonstrations from others. */
const FIXED_STREAM = 36
const POOLING = { pooling: 'position_weighted', tokens: 'all' } as const
/** In the place of a demonstration that a sample does not have. */
const NONE = -1

interface Options {
  readonly k: number
  readonly context: 'nearest' | 'fixed'
  readonly rounds: number
  readonly withoutGain: 'refuse' | 'warn'
}

/** s = l(y | x) - l(y | demonstrations, x): how much the anchors, read before it, lower the loss of a sample. */
export const contextGain = defineSignal({
  kind: 'context-gain',
  about: 'how far the loss of a sample falls when the model reads anchors before it, in nats',
  unit: 'sample',
  options: {
    k: whole(
      { min: 1, max: 1000 },
      3,
      'Anchors that stand before a sample; the farthest are left out where they do not fit.',
    ),
    context: oneOf(
      ['nearest', 'fixed'],
      'nearest',
      'Which anchors: those nearest to the sample, or the same ones for all, drawn by the seed.',
    ),
    rounds: whole(
      { min: 1, max: 1000 },
      1,
      'R: how often the samples are scored in a run, at equal distances: before training, then by the model as it is.',
    ),
    ...SCORED,
    withoutGain: oneOf(
      ['warn', 'refuse'],
      'warn',
      'What follows where reading anchors does not lower the mean loss of the samples: the model does not use what it reads, and the scores mean nothing.',
    ),
  },
  needs: () => ({ anchors: true }),
  scoresPart: 'rest has scores',
  scoreOptions: ['rounds'],
  rescores: ({ rounds }) => (rounds > 1 ? 'rounds' : undefined),
  rescoring: (options, facts, artefact) => laterRounds(options, facts, artefact),
  async prepare(options, tools) {
    const isChat = (v: number) => tools.anchorDocuments[v]?.content.kind === 'chat'
    const anchors = demonstrationsOf(tools.anchors, isChat)
    if (anchors.length === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const stored = await tools.withModel(undefined, async (model) => {
      const unit_VD = options.context === 'nearest' ? embedAnchors(model, tools) : undefined
      try {
        return await tools.byChunk('gain', 1 + options.k, (indexes) =>
          gains(indexes, { model, unit_VD, anchors, options, tools }),
        )
      } finally {
        unit_VD?.dispose()
      }
    })
    const { numSamples } = tools.data
    const { k } = options
    const score_P = Float32Array.from({ length: numSamples }, (_, i) => stored[(1 + k) * i]!)
    const neighbours = stored.map((place) => Math.max(place, NONE)).filter((_, i) => i % (1 + k) !== 0)
    const found = neighbours.filter((place) => place !== NONE).length
    const inContext = withContext(neighbours, k)
    const gain = meanGain(Array.from(inContext, (i) => score_P[i]!))
    // Samples that are not scored have the weight of a mean one: without them a run would read few samples many times.
    for (let i = 0; i < numSamples; i++) if (!tools.isScored(i)) score_P[i] = gain.mean
    const problem = problemOf(gain)
    if (problem !== undefined) {
      requireGain(gain, options)
      tools.warn(`method ica: ${problem}, and its scores mean nothing`)
    }
    const { startId, bosId, eosId } = tools.specials
    return {
      score_P,
      numbers: {
        neighbours,
        chats: Float32Array.from(anchors, (anchor) => (anchor.isChat ? 1 : 0)),
        specials: Float32Array.of(startId, bosId ?? NONE, eosId),
      },
      figures: {
        meanGain: gain.mean,
        inContext: gain.count,
        demonstrations: found / Math.max(1, gain.count),
      },
    }
  },
  cost: ({ k, context, rounds }, shape) => {
    const { params, steps, tokensPerPass, samples, anchors, tokensPerAnchor, positions = Infinity } = shape
    const room = Math.floor(Math.max(0, positions - tokensPerPass / samples) / Math.max(1, tokensPerAnchor))
    const count = Math.min(k, anchors, room)
    // What has no anchor before it is read once.
    const read = (count > 0 ? 2 : 1) * tokensPerPass + count * samples * tokensPerAnchor
    const embedded = context === 'nearest' ? anchors * tokensPerAnchor : 0
    const round = 2 * params * read
    return {
      preparation: round + 2 * params * embedded,
      signal: roundStarts(rounds, steps).size * round,
    }
  },
})

/** In-context approximation of what a model that was trained on the anchors would say. */
export const ica = defineMethod({
  id: 'ica',
  about:
    'weighs every sample by how far its loss falls when anchors are read before it, scored once before training',
  page: 'docs/methods/ica.md',
  signal: contextGain,
  gate: minMaxGate,
  apply: 'loss',
  normalizer: () => 'sample.wmean',
})

interface Work {
  readonly model: CausalLM
  /** Absent where demonstrations are fixed. */
  readonly unit_VD: Tensor | undefined
  readonly anchors: readonly Demonstration[]
  readonly options: Options
  readonly tools: PreparationTools
}

/** What reading anchors brings the samples that have some before them. */
interface Gain {
  readonly mean: number
  readonly count: number
}

function meanGain(scores: readonly number[]): Gain {
  const mean = scores.reduce((a, b) => a + b, 0) / Math.max(1, scores.length)
  return { mean, count: scores.length }
}

/** What is wrong with scores of such a gain. */
function problemOf({ mean, count }: Gain): string | undefined {
  if (count === 0) return 'no sample has room for an anchor before it within the positions of the model'
  if (mean > 0) return undefined
  return `anchors before a sample raise its loss by ${(-mean).toFixed(4)} nats on average: the model does not use what it reads`
}

/** @throws {DataError} NO_GAIN where it is not above 0 and that is refused. */
function requireGain(gain: Gain, { withoutGain }: Options): void {
  const problem = problemOf(gain)
  if (problem === undefined || withoutGain === 'warn') return
  throw new DataError(
    'NO_GAIN',
    `method.signal.without_gain: ${problem}; begin with a model that does, or set warn`,
    { meanGain: gain.mean, inContext: gain.count },
  )
}

/** Samples of the pool that have a demonstration, by the places of all of them, the nearest first [P * k]. */
function withContext(neighbours: Float32Array, k: number): Uint32Array {
  const samples = Array.from({ length: neighbours.length / k }, (_, i) => i)
  return Uint32Array.from(samples.filter((i) => neighbours[k * i] !== NONE))
}

/** Unit vectors of the anchors, [V, D]; the caller's. */
function embedAnchors(model: CausalLM, tools: PreparationTools): Tensor {
  return noGrad(() =>
    scope(() => {
      const parts = tools.anchors.map((batch) =>
        nn.unitRows(poolHidden(frozenStates(model, batch, tools), batch, POOLING)),
      )
      return clone(cat(parts)).persist()
    }),
  )
}

/** Score of some samples of the pool, and the places of their demonstrations, the nearest first: [samples * (1 + k)]. */
async function gains(indexes: readonly number[], work: Work): Promise<Float32Array> {
  const { model, anchors, tools } = work
  const { k } = work.options
  const samples = indexes.map((index) => tools.data.sample(index))
  const plain = new Float32Array(samples.length)
  const contexts: TokenizedSample[] = []
  const placeOf: number[] = []
  const result = new Float32Array((1 + k) * samples.length).fill(NONE)
  const fixed = work.unit_VD === undefined ? drawFixed(anchors.length, tools.seed) : undefined
  for await (const { places, batch } of sampleBatches(samples)) {
    const { loss_S, similarity_SV } = readPlain(batch, work)
    for (const [s, place] of places.entries()) {
      plain[place] = loss_S[s]!
      result[(1 + k) * place] = 0
      const sample = samples[place]!
      if (batch.samples[s]!.numLabels === 0) continue
      const nearest = fixed ?? similarity_SV!.subarray(s * anchors.length, (s + 1) * anchors.length)
      const found = nearestPlaces(nearest, k, (v) => !isSame(anchors[v]!.tokens, sample.tokens))
      const { maxPositionEmbeddings } = model.config
      const behind = inContext(
        sample,
        found.map((v) => anchors[v]!),
        tools.specials,
        maxPositionEmbeddings,
      )
      if (behind === undefined) continue
      const { count, ...own } = behind
      result.set(found.slice(0, count), (1 + k) * place + 1)
      contexts.push({ ...sample, ...own })
      placeOf.push(place)
    }
  }
  for await (const { places, batch } of sampleBatches(contexts)) {
    const loss_S = scope(() => frozenLosses(model, frozenStates(model, batch, tools), batch).toFloat32Array())
    for (const [s, i] of places.entries()) {
      const place = placeOf[i]!
      result[(1 + k) * place] = plain[place]! - loss_S[s]!
    }
  }
  return result
}

/** Completed steps before the rounds after the first one, which is made before training. */
function roundStarts(rounds: number, totalSteps: number): ReadonlySet<number> {
  const starts = Array.from({ length: rounds }, (_, r) => Math.round((r * totalSteps) / rounds))
  return new Set(starts.filter((step) => step > 0 && step < totalSteps))
}

/**
 * Scores by the model as it is, behind the demonstrations of before training.
 * @throws {ConfigError} NOT_PREPARED without them.
 */
function laterRounds(options: Options, { totalSteps }: RunFacts, { numbers }: Artefact): Rescoring {
  const { neighbours, chats, specials } = numbers ?? {}
  if (neighbours === undefined || chats === undefined || specials === undefined)
    throw new ConfigError(
      'NOT_PREPARED',
      'method.signal.rounds: expected what the first round leaves, received nothing',
    )
  const { k, rounds } = options
  const starts = roundStarts(rounds, totalSteps)
  const scored = withContext(neighbours, k)
  const [startId, bosId, eosId] = specials as unknown as [number, number, number]
  let anchors: readonly Demonstration[] | undefined
  const behind = (sample: TokenizedSample, given: readonly Batch[]): TokenizedSample => {
    anchors ??= demonstrationsOf(given, (v) => chats[v] === 1)
    const { index } = sample
    const places = [...neighbours.subarray(k * index, k * (index + 1))].filter((v) => v !== NONE)
    const nearestFirst = places.map((v) => anchors![v]!)
    // Those that had no room are not among them.
    return { ...sample, ...inContext(sample, nearestFirst, { startId, bosId, eosId }, Infinity) }
  }
  return {
    wants: (step) => (starts.has(step) ? scored : undefined),
    score(batch, facts) {
      const losses = (of: Batch): Float32Array => {
        facts.charge(countTokens([of]))
        return scope(() => facts.look(of, { exactLosses: true }).sampleLoss_S().toFloat32Array())
      }
      const gain_S = losses(batch)
      const contexts = samplesOf(batch).map((sample) => behind(sample, facts.anchors))
      for (const { places, batch: longer } of cutSamples(contexts))
        for (const [i, loss] of losses(longer).entries()) gain_S[places[i]!]! -= loss
      return tensor(gain_S, [gain_S.length], { device: facts.device })
    },
    figures({ score }) {
      const gain = meanGain([...score])
      requireGain(gain, options)
      return { meanGain: gain.mean }
    },
  }
}

/** Losses of samples without context, and their cosines to the anchors where those are asked for: one forward for both. */
function readPlain(
  batch: Batch,
  { model, unit_VD, tools }: Work,
): { readonly loss_S: Float32Array; readonly similarity_SV: Float32Array | undefined } {
  return noGrad(() =>
    scope(() => {
      const hidden_BTD = frozenStates(model, batch, tools)
      const loss_S = frozenLosses(model, hidden_BTD, batch).toFloat32Array()
      if (unit_VD === undefined) return { loss_S, similarity_SV: undefined }
      const [V, D] = unit_VD.shape as [number, number]
      tools.charge(2 * V * D * batch.samples.length)
      const unit_SD = nn.unitRows(poolHidden(hidden_BTD, batch, POOLING))
      return { loss_S, similarity_SV: matmul(unit_SD, transpose(unit_VD, 0, 1)).toFloat32Array() }
    }),
  )
}

/** The same order of the anchors for every sample, by the seed: the smallest place is the largest similarity. */
function drawFixed(numAnchors: number, seed: number): Float32Array {
  const placeOf = createPermutation({ seed, epoch: 0, numSamples: numAnchors, stream: FIXED_STREAM })
  return Float32Array.from({ length: numAnchors }, (_, v) => -placeOf(v))
}
