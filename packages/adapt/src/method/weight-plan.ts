/** S samples of a micro-batch. */
import { cat, type Collective, indexSelect, scope, tensor, type Tensor, zeros, bind } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { SignalBatch, SignalContext } from '../signal/index.js'
import type { Method } from './method.js'

const indexCopy_ = bind('aten::index_copy_')

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

/**
 * One pass where the method allows it: the training forward's hidden states give scores and weights at once.
 * Otherwise a no-grad scoring phase over the whole step comes first.
 */
export function planWeights(method: Method, batches: readonly Batch[], context: SignalContext): WeightPlan {
  const { signal, gate } = method
  const scoresFirst = gate.needs === 'step' || signal.needs.separateForward
  return scoresFirst ? scorePhase(method, batches, context) : fusedPass(method)
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
  const weights = gate.needs === 'step' ? weighStep(scores, batches, gate.weights.bind(gate), context.collective) : undefined
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
  weigh: (score_S: Tensor) => Tensor,
  collective: Collective,
): Tensor[] {
  return scope(() => {
    const labelled = batches.map(({ samples }) => samples.flatMap(({ numLabels }, i) => (numLabels > 0 ? [i] : [])))
    const indexOf = (list: readonly number[], device: string) => tensor(Int32Array.from(list), [list.length], { dtype: 'int64', device })
    const gathered = scores.map((score_S, a) => collective.allGather(indexSelect(score_S, 0, indexOf(labelled[a]!, score_S.device))))
    const all = gathered.flat()
    const together = weigh(cat(all))
    let start = 0
    return gathered.map((ranks, a) => {
      let mine: Tensor | undefined
      for (const [rank, part] of ranks.entries()) {
        const length = part.shape[0]!
        if (rank === collective.rank) mine = indexSelect(together, 0, indexOf(Array.from({ length }, (_, i) => start + i), part.device))
        start += length
      }
      const target = zeros([batches[a]!.samples.length], { device: together.device })
      return indexCopy_(target, 0, indexOf(labelled[a]!, together.device), mine!) as Tensor
    })
  })
}
