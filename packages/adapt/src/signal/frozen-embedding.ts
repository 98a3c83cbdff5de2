/** P samples of the pool, V anchors, D width, S samples of a batch. */
import { cat, clone, mean, noGrad, scope, type Tensor } from '@adapt-ts/torch'
import { type Batch, buildBatch, createPermutation, likeLengths } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { defineSignal } from '../method/define-method.js'
import { flag } from '../method/option-table.js'
import type { PreparationTools } from '../method/preparation.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { AnchorScorer } from './anchor-scorer.js'
import { countTokens } from './embed-anchors.js'
import { type PoolingOptions, poolHidden } from './pool-hidden.js'
import { POOLING_OPTIONS } from './representation.js'

/** Samples of the pool that the mean is taken over: as many as the online signal remembers. */
const MEAN_SAMPLES = 4096
/** Tells the choice of them apart from other draws. */
const STREAM = 43
/** Samples that are embedded before signals and timers get their turn. */
const CHUNK = 256

/** ADAPT's score under the model before training: mean cosine to the anchors, once for every sample of the pool. */
export const frozenEmbedding = defineSignal({
  kind: 'frozen-embedding',
  about: 'mean cosine to the anchors, in the last hidden states of the model before training',
  unit: 'sample',
  options: {
    ...POOLING_OPTIONS,
    center: flag(
      true,
      'Subtract the mean embedding of the pool first (of 4096 samples at most), so that scores spread.',
    ),
  },
  needs: () => ({ anchors: true }),
  cost({ center }, { params, samples, tokensPerPass, anchors, tokensPerAnchor }) {
    const again = center ? Math.min(1, MEAN_SAMPLES / samples) * tokensPerPass : 0
    return { preparation: 2 * params * (tokensPerPass + again + anchors * tokensPerAnchor), signal: 0 }
  },
  prepare: ({ pooling, tokens, center }, tools) =>
    tools.withModel(undefined, async (model) => {
      const { anchors, data } = tools
      if (anchors.length === 0)
        throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
      const embedder = { model, pooling: { pooling, tokens }, tools }
      const scorer = new AnchorScorer({ aggregate: 'micro', lseBeta: 1, center, centroidEma: 1 })
      try {
        if (center) {
          const mean_D = await meanOfPool(embedder)
          scorer.setMean(() => clone(mean_D), anchors)
          mean_D.dispose()
        }
        scorer.setAnchors(() => cat(anchors.map((batch) => embed(batch, embedder))), anchors)
        const score_P = await tools.byChunk('frozen-embedding', 1, async (indexes) => {
          const scores = new Float32Array(indexes.length)
          await eachBatch(indexes, embedder, (pooled_SD, places) => {
            const found = scorer.scores(pooled_SD).toFloat32Array()
            for (const [s, place] of places.entries()) scores[place] = found[s]!
          })
          return scores
        })
        const numAnchors = anchors.reduce((count, { samples }) => count + samples.length, 0)
        return {
          score_P,
          figures: { anchors: numAnchors, averaged: center ? Math.min(MEAN_SAMPLES, data.numSamples) : 0 },
        }
      } finally {
        scorer.dispose()
      }
    }),
})

interface Embedder {
  readonly model: CausalLM
  readonly pooling: PoolingOptions
  readonly tools: PreparationTools
}

/** Mean of a random part of the pool, the same in every run: float32 [D], the caller's. */
async function meanOfPool(embedder: Embedder): Promise<Tensor> {
  const { numSamples } = embedder.tools.data
  const place = createPermutation({ seed: 0, epoch: 0, numSamples, stream: STREAM })
  const indexes = Array.from({ length: Math.min(MEAN_SAMPLES, numSamples) }, (_, i) => place(i))
  const rows: Tensor[] = []
  for (let start = 0; start < indexes.length; start += CHUNK) {
    await eachBatch(indexes.slice(start, start + CHUNK), embedder, (pooled_SD) => {
      rows.push(clone(pooled_SD).persist())
    })
  }
  const mean_D = noGrad(() => scope(() => mean(cat(rows), 0))).persist()
  for (const row of rows) row.dispose()
  return mean_D
}

/** Pooled states of samples of the pool, in batches of like lengths; `places` are those of the samples among the indexes. */
async function eachBatch(
  indexes: readonly number[],
  embedder: Embedder,
  use: (pooled_SD: Tensor, places: readonly number[]) => void,
): Promise<void> {
  const { data } = embedder.tools
  for (const places of likeLengths(indexes.map((index) => data.length(index)))) {
    const rows = places.map((place) => [indexes[place]!])
    const batch = buildBatch(rows, data, { padId: 0, packing: false })
    scope(() => use(embed(batch, embedder), places))
    await new Promise(setImmediate)
  }
}

/** Pooled states of a batch, [S, D]; belong to the current scope. */
function embed(batch: Batch, { model, pooling, tools }: Embedder): Tensor {
  tools.charge(2 * model.numParameters * countTokens([batch]))
  return noGrad(() =>
    scope(() => {
      const inputs = toModelInputs(batch, model.device)
      return poolHidden(embedTokens(model, inputs, { autocastDtype: tools.autocastDtype }), batch, pooling)
    }),
  )
}
