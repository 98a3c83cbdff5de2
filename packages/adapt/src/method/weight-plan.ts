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
      const { length } = batch.inputs.batch.samples
      const score_S = onePerSample('signal', signal.score(batch), length)
      return { score_S, weight_S: onePerSample('gate', gate.weights(score_S), length) }
    },
  }
}

/** Another number would be broadcast, or read as what the next samples got. @throws {RangeError} */
function onePerSample(part: 'signal' | 'gate', values: Tensor, numSamples: number): Tensor {
  // What is no tensor has no shape, whatever the types say of it.
  const shape = (values as Partial<Tensor> | undefined)?.shape
  if (shape?.length === 1 && shape[0] === numSamples) return values
  const received = shape === undefined ? String(values) : `[${shape.join(', ')}]`
  throw new RangeError(
    `method.${part}: expected one number for each of ${numSamples} samples, a tensor of shape [${numSamples}], received ${received}`,
  )
}

function scorePhase({ signal, gate }: Method, batches: readonly Batch[], context: SignalContext): WeightPlan {
  const scores = batches.map((batch) =>
    scope(() => onePerSample('signal', signal.score(context.embed(batch)), batch.samples.length)),
  )
  const weights = gate.needs === 'step' ? weighStep(scores, batches, gate, context.collective) : undefined
  return {
    weigh: (index) => {
      const score_S = scores[index]!
      const weight_S = weights?.[index] ?? onePerSample('gate', gate.weights(score_S), score_S.shape[0]!)
      return { score_S, weight_S }
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
    const score_S = cat(gathered.map(({ rows }) => reshape(rows, [rows.shape[0]!])))
    const index_S = gatherIndexes(
      batches.map(({ samples }, a) => labelled[a]!.map((i) => samples[i]!.index)),
      collective,
    )
    const together = onePerSample('gate', gate.weights(score_S, index_S), score_S.shape[0]!)
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
