/** In-context approximation, arXiv 2510.14459. P samples of the pool, V anchors, D width, S samples of a batch. Page: docs/methods/ica.md. */
import { cat, clone, matmul, noGrad, scope, type Tensor, transpose } from '@adapt-ts/torch'
import { type Batch, createPermutation } from '../batch/index.js'
import { ConfigError, DataError } from '../errors.js'
import { minMaxGate } from '../gate/index.js'
import { defineMethod, defineSignal, oneOf, type PreparationTools, whole } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  type Demonstration,
  demonstrationsOf,
  frozenLosses,
  frozenStates,
  inContext,
  isSame,
  nearestPlaces,
  poolHidden,
  sampleBatches,
  unitRows,
} from '../signal/index.js'
import type { TokenizedSample } from '../tokenize/index.js'

/** Tells the draw of fixed demonstrations from others. */
const FIXED_STREAM = 36
const POOLING = { pooling: 'position_weighted', tokens: 'all' } as const
/** Numbers that are stored of a sample: its score, and how many demonstrations fitted. */
const WIDTH = 2

interface Options {
  readonly k: number
  readonly context: 'nearest' | 'fixed'
  readonly withoutGain: 'refuse' | 'warn'
}

/** s = l(y | x) - l(y | demonstrations, x): how much the anchors, read before it, lower the loss of a sample. */
export const contextGain = defineSignal({
  kind: 'context-gain',
  about: 'how far the loss of a sample falls when the model before training reads anchors before it, in nats',
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
    withoutGain: oneOf(
      ['warn', 'refuse'],
      'warn',
      'What follows where reading anchors does not lower the mean loss of the samples: the model does not use what it reads, and the scores mean nothing.',
    ),
  },
  needs: () => ({ anchors: true }),
  async prepare(options, tools) {
    const anchors = demonstrationsOf(tools.anchors, tools.anchorDocuments)
    if (anchors.length === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const stored = await tools.withModel(undefined, async (model) => {
      const unit_VD = options.context === 'nearest' ? embedAnchors(model, tools) : undefined
      try {
        return await tools.byChunk('gain', WIDTH, (indexes) =>
          gains(indexes, { model, unit_VD, anchors, options, tools }),
        )
      } finally {
        unit_VD?.dispose()
      }
    })
    const { numSamples } = tools.data
    const score_P = Float32Array.from({ length: numSamples }, (_, i) => stored[WIDTH * i]!)
    const counts = Float32Array.from({ length: numSamples }, (_, i) => stored[WIDTH * i + 1]!)
    return { score_P, figures: judged(score_P, counts, options, tools) }
  },
  cost: ({ k, context }, { params, tokensPerPass, samples, anchors, tokensPerAnchor }) => {
    const before = Math.min(k, anchors) * samples * tokensPerAnchor
    const embedded = context === 'nearest' ? anchors * tokensPerAnchor : 0
    return { preparation: 2 * params * (2 * tokensPerPass + before + embedded), signal: 0 }
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

/** Mean gain of the samples that had a context. @throws {DataError} NO_GAIN where it is not above 0 and that is refused. */
function judged(
  score_P: Float32Array,
  counts: Float32Array,
  { withoutGain }: Options,
  tools: PreparationTools,
): Readonly<Record<string, number>> {
  let [inContextCount, sum, demonstrations] = [0, 0, 0]
  for (const [i, count] of counts.entries()) {
    if (count === 0) continue
    inContextCount += 1
    sum += score_P[i]!
    demonstrations += count
  }
  const meanGain = inContextCount === 0 ? 0 : sum / inContextCount
  if (!(meanGain > 0)) {
    const problem =
      inContextCount === 0
        ? 'no sample has room for an anchor before it within the positions of the model'
        : `anchors before a sample raise its loss by ${(-meanGain).toFixed(4)} nats on average: the model does not use what it reads`
    if (withoutGain === 'refuse')
      throw new DataError(
        'NO_GAIN',
        `method.signal.without_gain: ${problem}; begin with a model that does, or set warn`,
        { meanGain, inContext: inContextCount },
      )
    tools.warn(`method ica: ${problem}, and its scores mean nothing`)
  }
  return {
    meanGain,
    inContext: inContextCount,
    demonstrations: demonstrations / Math.max(1, inContextCount),
  }
}

/** Unit vectors of the anchors, [V, D]; the caller's. */
function embedAnchors(model: CausalLM, tools: PreparationTools): Tensor {
  return noGrad(() =>
    scope(() => {
      const parts = tools.anchors.map((batch) =>
        unitRows(poolHidden(frozenStates(model, batch, tools), batch, POOLING)),
      )
      return clone(cat(parts)).persist()
    }),
  )
}

/** Score and number of demonstrations of some samples of the pool: [samples * 2]. */
async function gains(indexes: readonly number[], work: Work): Promise<Float32Array> {
  const { model, anchors, tools } = work
  const samples = indexes.map((index) => tools.data.sample(index))
  const plain = new Float32Array(samples.length)
  const contexts: (TokenizedSample & { readonly count: number })[] = []
  const placeOf: number[] = []
  const fixed = work.unit_VD === undefined ? drawFixed(anchors.length, tools.seed) : undefined
  for await (const { places, batch } of sampleBatches(samples)) {
    const { loss_S, similarity_SV } = readPlain(batch, work)
    for (const [s, place] of places.entries()) {
      plain[place] = loss_S[s]!
      const sample = samples[place]!
      if (batch.samples[s]!.numLabels === 0) continue
      const nearest = fixed ?? similarity_SV!.subarray(s * anchors.length, (s + 1) * anchors.length)
      const found = nearestPlaces(nearest, work.options.k, (v) => !isSame(anchors[v]!.tokens, sample.tokens))
      const { maxPositionEmbeddings } = model.config
      const behind = inContext(
        sample,
        found.map((v) => anchors[v]!),
        tools.specials,
        maxPositionEmbeddings,
      )
      if (behind === undefined) continue
      contexts.push({ ...sample, ...behind })
      placeOf.push(place)
    }
  }
  const result = new Float32Array(WIDTH * samples.length)
  for await (const { places, batch } of sampleBatches(contexts)) {
    const loss_S = scope(() => frozenLosses(model, frozenStates(model, batch, tools), batch).toFloat32Array())
    for (const [s, i] of places.entries()) {
      const place = placeOf[i]!
      result.set([plain[place]! - loss_S[s]!, contexts[i]!.count], WIDTH * place)
    }
  }
  return result
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
      const unit_SD = unitRows(poolHidden(hidden_BTD, batch, POOLING))
      return { loss_S, similarity_SV: matmul(unit_SD, transpose(unit_VD, 0, 1)).toFloat32Array() }
    }),
  )
}

/** The same order of the anchors for every sample, by the seed: the smallest place is the largest similarity. */
function drawFixed(numAnchors: number, seed: number): Float32Array {
  const placeOf = createPermutation({ seed, epoch: 0, numSamples: numAnchors, stream: FIXED_STREAM })
  return Float32Array.from({ length: numAnchors }, (_, v) => -placeOf(v))
}
