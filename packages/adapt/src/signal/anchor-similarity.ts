/** P samples of the pool, V anchors, D width, S samples of a batch, K tasks, Q who takes turns. */
import { cat, clone, matmul, nn, noGrad, scope, type Tensor, transpose } from '@adapt-ts/torch'
import { z } from 'zod'
import { type Batch, buildBatch, likeLengths } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { wholeNumber } from '../method/number-ranges.js'
import { type OptionsOf, oneOf, option, usedWith } from '../method/option-table.js'
import type { Artefact, PreparationTools } from '../method/preparation.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { type AnchorTasks, anchorTasks } from './anchor-tasks.js'
import { countTokens } from './embed-anchors.js'
import { type PoolingOptions, poolHidden } from './pool-hidden.js'
import { roundRobinPlaces } from './round-robin.js'

/** A place in the order must be a float32. */
const MAX_PLACES = 2 ** 24
const MAX_SIMILARITIES = 2 ** 29

type Aggregate = 'round_robin' | 'mean' | 'max' | 'task_max'

const takesTurns = ({ aggregate }: Readonly<Record<string, unknown>>): boolean => aggregate === 'round_robin'

/** How similarities to all anchors become one score; `aggregate` is the default. */
export const similarityOptions = (aggregate: Aggregate) => ({
  aggregate: oneOf(
    ['round_robin', 'mean', 'max', 'task_max'],
    aggregate,
    'How similarities to all anchors become one score: turns, the mean, the largest, or the largest over tasks of the mean within each.',
  ),
  turns: usedWith(
    'aggregate: round_robin',
    takesTurns,
    oneOf(
      ['auto', 'anchor', 'task'],
      'auto',
      'round_robin: who takes turns, every anchor or every task by its nearest anchor; auto: tasks where there are several.',
    ),
  ),
  neighbors: usedWith(
    'aggregate: round_robin',
    takesTurns,
    option<number | 'all'>(
      z.union([wholeNumber({ min: 1, max: MAX_PLACES }), z.literal('all')], {
        error: 'expected a whole number >= 1 or "all"',
      }),
      'all',
      'round_robin: how many samples each of them names; what nobody names is never kept.',
    ),
  ),
})

type SimilarityOptions = OptionsOf<ReturnType<typeof similarityOptions>>

/** What is compared, and by what. */
export interface Compared {
  readonly model: CausalLM
  readonly anchors: readonly Batch[]
  /** The samples with these dense indexes, as the model reads them. */
  samplesOf(indexes: readonly number[]): Promise<readonly Pick<TokenizedSample, 'tokens' | 'labelMask'>[]>
  readonly pooling: PoolingOptions
}

/**
 * Cosines of pooled last hidden states between every sample of the pool and the anchors, as one score a sample. With turns the score is the
 * place in their order, negative: what is taken earlier scores higher, so that any share of the pool is what turns would have given.
 *
 * @throws {ConfigError} NO_ANCHORS; OUT_OF_RANGE for more similarities than are kept.
 */
export async function similarityScores(
  { aggregate, turns, neighbors }: SimilarityOptions,
  { model, anchors, samplesOf, pooling }: Compared,
  tools: PreparationTools,
): Promise<Artefact> {
  const tasks = anchorTasks(anchors)
  if (tasks.of.length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
  const combination = combinationOf(aggregate, turns, tasks)
  requireRoom(tools.data.numSamples, aggregate === 'round_robin' ? combination.width : 1)
  const unit_VD = embedBatches(model, anchors, pooling, tools)
  const { width } = combination
  try {
    const similarity_PQ = await tools.byChunk('similarity', width, async (indexes) =>
      similarities(await samplesOf(indexes), { model, unit_VD, pooling, combination, tools }),
    )
    const figures = { anchors: tasks.of.length, tasks: tasks.names.length }
    if (aggregate !== 'round_robin') return { score_P: similarity_PQ, figures }
    const places = roundRobinPlaces(similarity_PQ, width, neighbors === 'all' ? undefined : neighbors)
    const named = places.reduce((count, place) => count + (place < Infinity ? 1 : 0), 0)
    return { score_P: Float32Array.from(places, (place) => -place), figures: { ...figures, named } }
  } finally {
    unit_VD.dispose()
  }
}

/** Makes numbers of a sample from its similarities to the anchors, [V] -> [width]. */
interface Combination {
  readonly width: number
  combine(similarity_V: Float32Array): ArrayLike<number>
}

function combinationOf(
  aggregate: Aggregate,
  turns: SimilarityOptions['turns'],
  tasks: AnchorTasks,
): Combination {
  const V = tasks.of.length
  const K = tasks.names.length
  if (aggregate === 'mean') return { width: 1, combine: (values) => [values.reduce((a, b) => a + b, 0) / V] }
  if (aggregate === 'max') return { width: 1, combine: (values) => [values.reduce((a, b) => Math.max(a, b))] }
  if (aggregate === 'task_max') {
    return {
      width: 1,
      combine(values) {
        const mean_K = new Float64Array(K)
        for (const [v, task] of tasks.of.entries()) mean_K[task]! += values[v]! / tasks.counts[task]!
        return [mean_K.reduce((a, b) => Math.max(a, b))]
      },
    }
  }
  const byTask = turns === 'task' || (turns === 'auto' && K > 1)
  if (!byTask) return { width: V, combine: (values) => values }
  return {
    width: K,
    combine(values) {
      const best_K = new Float64Array(K).fill(-Infinity)
      for (const [v, task] of tasks.of.entries()) best_K[task] = Math.max(best_K[task]!, values[v]!)
      return best_K
    },
  }
}

function requireRoom(numSamples: number, width: number): void {
  if (numSamples <= MAX_PLACES && numSamples * width <= MAX_SIMILARITIES) return
  throw new ConfigError(
    'OUT_OF_RANGE',
    `method.signal.aggregate: round_robin keeps ${width} similarities for each of at most ${MAX_PLACES} samples, ${MAX_SIMILARITIES} in all; ` +
      `the pool has ${numSamples} samples: set signal.turns: task, or aggregate: max`,
  )
}

/** Unit vectors of all samples of the batches, [V, D]; the caller's. */
export function embedBatches(
  model: CausalLM,
  batches: readonly Batch[],
  pooling: PoolingOptions,
  tools: PreparationTools,
): Tensor {
  tools.charge(2 * model.numParameters * countTokens(batches))
  return noGrad(() =>
    scope(() => clone(cat(batches.map((batch) => unitVectors(model, batch, pooling, tools)))).persist()),
  )
}

/** Unit vectors of the samples of a batch, [S, D]; belong to the current scope. */
export function unitVectors(
  model: CausalLM,
  batch: Batch,
  pooling: PoolingOptions,
  { autocastDtype }: PreparationTools,
): Tensor {
  return noGrad(() =>
    scope(() => {
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device), { autocastDtype })
      return nn.unitRows(poolHidden(hidden_BTD, batch, pooling))
    }),
  )
}

/** Of some samples of the pool: [samples * width]. */
async function similarities(
  samples: readonly Pick<TokenizedSample, 'tokens' | 'labelMask'>[],
  {
    model,
    unit_VD,
    pooling,
    combination: { width, combine },
    tools,
  }: {
    readonly model: CausalLM
    readonly unit_VD: Tensor
    readonly pooling: PoolingOptions
    readonly combination: Combination
    readonly tools: PreparationTools
  },
): Promise<Float32Array> {
  const [V, D] = unit_VD.shape as [number, number]
  const result = new Float32Array(samples.length * width)
  const sample = (index: number): TokenizedSample => ({
    ...{ index, id: `${index}`, source: '', weight: 1, path: '', line: 1 },
    ...samples[index]!,
  })
  for (const places of likeLengths(samples.map(({ tokens }) => tokens.length))) {
    const rows = places.map((place) => [place])
    const batch = buildBatch(rows, { sample }, { padId: 0, packing: false })
    const similarity_SV = scope(() =>
      matmul(unitVectors(model, batch, pooling, tools), transpose(unit_VD, 0, 1)).toFloat32Array(),
    )
    for (const [s, place] of places.entries())
      result.set(combine(similarity_SV.subarray(s * V, (s + 1) * V)), place * width)
    tools.charge(2 * model.numParameters * countTokens([batch]) + 2 * V * D * places.length)
    // Signals and timers get their turn.
    await new Promise(setImmediate)
  }
  return result
}
