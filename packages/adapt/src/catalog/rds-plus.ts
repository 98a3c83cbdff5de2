/** P samples of the pool, V anchors, D width, S samples of a batch, Q who takes turns. */
import { cat, clone, matmul, noGrad, scope, type Tensor, transpose } from '@adapt-ts/torch'
import { type Batch, buildBatch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import { defineMethod, defineSignal, oneOf, type PreparationTools, usedWith } from '../method/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import {
  type AnchorTasks,
  anchorTasks,
  countTokens,
  likeLengths,
  type PoolingOptions,
  poolHidden,
  roundRobinPlaces,
  unitRows,
} from '../signal/index.js'

/** A place in the order must be a float32. */
const MAX_PLACES = 2 ** 24
const MAX_SIMILARITIES = 2 ** 29

/** s = cosine between a sample and the anchors in the last hidden states of the model before training. */
export const representation = defineSignal({
  kind: 'representation',
  about: 'similarity to the anchors in the states of the model before training',
  unit: 'sample',
  options: {
    pooling: oneOf(
      ['position_weighted', 'mean', 'last'],
      'position_weighted',
      'How the positions of a sample become one vector.',
    ),
    tokens: oneOf(['all', 'response_only'], 'all', 'Which positions are pooled.'),
    aggregate: oneOf(
      ['round_robin', 'mean', 'max'],
      'round_robin',
      'How similarities to all anchors become one score: turns, the mean, or the largest.',
    ),
    turns: usedWith(
      'aggregate: round_robin',
      ({ aggregate }) => aggregate === 'round_robin',
      oneOf(
        ['auto', 'anchor', 'task'],
        'auto',
        'round_robin: who takes turns, every anchor or every task by its nearest anchor; auto: tasks where there are several.',
      ),
    ),
  },
  needs: () => ({ anchors: true }),
  cost: (_, { params, tokensPerPass, anchors, tokensPerAnchor }) => ({
    preparation: 2 * params * (tokensPerPass + anchors * tokensPerAnchor),
    signal: 0,
  }),
  async prepare({ aggregate, turns, ...pooling }, tools) {
    const tasks = anchorTasks(tools.anchors)
    if (tasks.of.length === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const combine = combinationOf(aggregate, turns, tasks)
    requireRoom(tools.data.numSamples, aggregate === 'round_robin' ? combine.width : 1)
    const similarity_PQ = await tools.withModel(undefined, async (model) => {
      const unit_VD = embedBatches(model, tools.anchors, pooling, tools)
      try {
        return await tools.byChunk('similarity', combine.width, (indexes) =>
          similarities(model, unit_VD, indexes, { combine, pooling, tools }),
        )
      } finally {
        unit_VD.dispose()
      }
    })
    const figures = { anchors: tasks.of.length, tasks: tasks.names.length }
    if (aggregate !== 'round_robin') return { score_P: similarity_PQ, figures }
    // What is taken earlier scores higher: any share of the pool is then what turns would have given.
    const score_P = Float32Array.from(roundRobinPlaces(similarity_PQ, combine.width), (place) => -place)
    return { score_P, figures }
  },
})

/** RDS+, arXiv 2503.01807. */
export const rdsPlus = defineMethod({
  id: 'rds-plus',
  about:
    'trains on the samples that the model before training finds nearest to the anchors, anchor after anchor',
  page: 'docs/methods/rds-plus.md',
  signal: representation,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025 } },
})

/** Makes numbers of a sample from its similarities to the anchors, [V] -> [width]. */
interface Combination {
  readonly width: number
  combine(similarity_V: Float32Array): ArrayLike<number>
}

function combinationOf(
  aggregate: 'round_robin' | 'mean' | 'max',
  turns: 'auto' | 'anchor' | 'task',
  tasks: AnchorTasks,
): Combination {
  const V = tasks.of.length
  if (aggregate === 'mean') return { width: 1, combine: (values) => [values.reduce((a, b) => a + b, 0) / V] }
  if (aggregate === 'max') return { width: 1, combine: (values) => [values.reduce((a, b) => Math.max(a, b))] }
  const byTask = turns === 'task' || (turns === 'auto' && tasks.names.length > 1)
  if (!byTask) return { width: V, combine: (values) => values }
  const K = tasks.names.length
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
      return unitRows(poolHidden(hidden_BTD, batch, pooling))
    }),
  )
}

/** Of some samples of the pool: [samples * width]. */
async function similarities(
  model: CausalLM,
  unit_VD: Tensor,
  indexes: readonly number[],
  {
    combine: { width, combine },
    pooling,
    tools,
  }: { readonly combine: Combination; readonly pooling: PoolingOptions; readonly tools: PreparationTools },
): Promise<Float32Array> {
  const [V, D] = unit_VD.shape as [number, number]
  const result = new Float32Array(indexes.length * width)
  for (const places of likeLengths(indexes.map((index) => tools.data.length(index)))) {
    const rows = places.map((place) => [indexes[place]!])
    const batch = buildBatch(rows, tools.data, { padId: 0, packing: false })
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
