/** S samples of a whole optimiser step. */
import { indexSelect, noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { createPermutation } from '../batch/index.js'
import type { Gate, Scores, StepFacts } from '../method/index.js'
import { ControlGate } from './control-gate.js'

/** Streams of the permutations, one a group, apart from those of the data order. */
const FIRST_STREAM = 101
const MAX_GROUPS = 10
/** Smaller groups would leave too many samples with a weight of their own. */
const MIN_GROUP_SIZE = 4

/** What {@link ShuffledGate} draws with, and what it knows of the training data. */
export interface ShuffledGateOptions {
  readonly seed: number
  /** Tokens of the sample with this dense index. */
  readonly length: (index: number) => number
}

/**
 * Another gate whose weights are dealt out anew in every step among samples of like length: what remains of a method when
 * its weights keep their distribution and lose their aim. The permutation is a function of seed and step, over
 * the samples of all ranks; groups are the tenths of the step by length (fewer in a step below 40 samples).
 */
export class ShuffledGate extends ControlGate {
  private readonly options: ShuffledGateOptions

  constructor(inner: Gate, options: ShuffledGateOptions) {
    super(inner)
    this.options = options
  }

  weights(scores: Scores, facts: StepFacts): Tensor {
    return noGrad(() =>
      scope(() => {
        const weight_S = this.inner.weights(scores, facts)
        const from = Int32Array.from(this.deal(scores.index, facts.step))
        return indexSelect(
          weight_S,
          0,
          tensor(from, [from.length], { dtype: 'int64', device: weight_S.device }),
        )
      }),
    )
  }

  /** The position whose weight each position gets. */
  private deal(index_S: readonly number[], step: number): number[] {
    const { seed, length } = this.options
    // Sorted, so that the outcome does not depend on the order in which ranks and micro-batches hand samples over.
    const sorted = index_S
      .map((index, position) => ({ index, position, tokens: length(index) }))
      .sort((a, b) => a.tokens - b.tokens || a.index - b.index || a.position - b.position)
    const numGroups = Math.max(1, Math.min(MAX_GROUPS, Math.floor(sorted.length / MIN_GROUP_SIZE)))
    const from = new Array<number>(sorted.length)
    for (let group = 0; group < numGroups; group++) {
      const start = Math.floor((group * sorted.length) / numGroups)
      const members = sorted.slice(start, Math.floor(((group + 1) * sorted.length) / numGroups))
      if (members.length === 0) continue
      const permute = createPermutation({
        seed,
        epoch: step,
        numSamples: members.length,
        stream: FIRST_STREAM + group,
      })
      members.forEach(({ position }, i) => {
        from[position] = members[permute(i)]!.position
      })
    }
    return from
  }
}
