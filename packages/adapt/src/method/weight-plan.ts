/** S samples of a micro-batch. */
import {
  bind,
  type Collective,
  cat,
  indexSelect,
  narrow,
  reshape,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { gatherInOrder, type SignalBatch, type SignalContext } from '../signal/index.js'
import type { Method } from './method.js'

const indexCopy_ = bind('aten::index_copy_')
const SPLIT = 2 ** 16

/** Scores and weights of a micro-batch. They belong to the current scope. */
export interface SampleWeights {
  /** float32 [S] */
  readonly score_S: Tensor
  /** float32 [S], >= 0, detached */
  readonly weight_S: Tensor
}

/** How the weights of one optimiser step come about. */
export interface WeightPlan {
  /** Weights of micro-batch `index`; called once each, with its training forward at hand. */
  weigh(index: number, batch: SignalBatch): SampleWeights
}

/** Whether a step needs scores before its training forwards, and so a scoring forward of its own (+2N FLOPs per token). */
export function needsScorePhase({ signal, gate }: Method): boolean {
  return gate.needs === 'step' || signal.needs.separateForward
}

/**
 * One pass where the method allows it: the training forward's hidden states give scores and weights at once.
 * Otherwise a no-grad scoring phase over the whole step comes first.
 */
export function planWeights(method: Method, batches: readonly Batch[], context: SignalContext): WeightPlan {
  return needsScorePhase(method) ? scorePhase(method, batches, context) : fusedPass(method)
}

function fusedPass({ signal, gate }: Method): WeightPlan {
  return {
    weigh(_, batch) {
      const score_S = signal.score(batch)
      return { score_S, weight_S: gate.weights(score_S) }
    },
  }
}

function scorePhase({ signal, gate }: Method, batches: readonly Batch[], context: SignalContext): WeightPlan {
  const scores = batches.map((batch) => scope(() => signal.score(context.embed(batch))))
  const weights = gate.needs === 'step' ? weighStep(scores, batches, gate, context.collective) : undefined
  return {
    weigh: (index) => {
      const score_S = scores[index]!
      return { score_S, weight_S: weights ? weights[index]! : gate.weights(score_S) }
    },
  }
}

/** Weighs the labelled samples of all ranks and micro-batches together; samples without labels get 0. */
function weighStep(
  scores: readonly Tensor[],
  batches: readonly Batch[],
  gate: Method['gate'],
  collective: Collective,
): Tensor[] {
  return scope(() => {
    const labelled = batches.map(({ samples }) =>
      samples.flatMap(({ numLabels }, i) => (numLabels > 0 ? [i] : [])),
    )
    const indexOf = (list: readonly number[], device: string) =>
      tensor(Int32Array.from(list), [list.length], { dtype: 'int64', device })
    const mine = scores.map((score_S, a) => indexSelect(score_S, 0, indexOf(labelled[a]!, score_S.device)))
    const gathered = gatherInOrder(mine, collective)
    if (gathered.length === 0) return []
    const together = gate.weights(
      cat(gathered.map(({ rows }) => reshape(rows, [rows.shape[0]!]))),
      gatherIndexes(
        batches.map(({ samples }, a) => labelled[a]!.map((i) => samples[i]!.index)),
        collective,
      ),
    )
    const weights = batches.map(({ samples }) => zeros([samples.length], { device: together.device }))
    let start = 0
    for (const { rank, index, rows } of gathered) {
      const length = rows.shape[0]!
      if (rank === collective.rank) {
        const place = indexOf(labelled[index]!, together.device)
        indexCopy_(weights[index]!, 0, place, narrow(together, 0, start, length))
      }
      start += length
    }
    return weights
  })
}

/** Dense indexes of all ranks' samples, in the order of their scores. */
function gatherIndexes(mine: readonly (readonly number[])[], collective: Collective): number[] {
  if (collective.worldSize === 1) return mine.flat()
  // Two parts, because float32 is exact up to 2^24 only.
  const parts = mine.map((list) =>
    tensor(Float32Array.from(list.flatMap((index) => [Math.floor(index / SPLIT), index % SPLIT])), [
      list.length,
      2,
    ]),
  )
  return gatherInOrder(parts, collective).flatMap(({ rows }) => {
    const values = rows.toFloat32Array()
    return Array.from({ length: rows.shape[0]! }, (_, i) => values[2 * i]! * SPLIT + values[2 * i + 1]!)
  })
}
