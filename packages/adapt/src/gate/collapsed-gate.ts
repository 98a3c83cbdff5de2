/** S samples of a whole optimiser step. */
import { noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Calibration } from './calibration.js'
import type { Gate } from './gate.js'

/** What a step leaves of the sums before it. */
const DECAY = 0.99

/** What {@link CollapsedGate} knows of the training data. */
export interface CollapsedGateOptions {
  /** Number of the source of the sample with this dense index. */
  readonly sourceIndex: (index: number) => number
  readonly numSources: number
}

/**
 * Another gate whose weights are replaced by the mean weight of the sample's source, a running mean over the steps
 * that forgets 1 % a step and includes the present one:
 *
 *   w_i = M_g / N_g,   M_g <- 0.99 M_g + sum of the step's weights in source g,   N_g <- 0.99 N_g + their number
 *
 * What a method does beyond mixing sources is the difference to this.
 */
export class CollapsedGate implements Gate {
  readonly needs = 'step'
  private readonly inner: Gate
  private readonly sourceIndex: (index: number) => number
  private sums: Float64Array
  private counts: Float64Array

  constructor(inner: Gate, { sourceIndex, numSources }: CollapsedGateOptions) {
    this.inner = inner
    this.sourceIndex = sourceIndex
    this.sums = new Float64Array(numSources)
    this.counts = new Float64Array(numSources)
  }

  weights(score_S: Tensor, index_S: readonly number[]): Tensor {
    return noGrad(() =>
      scope(() => {
        const weight_S = this.inner.weights(score_S, index_S)
        const weights = weight_S.toFloat32Array()
        // A step that is not finite is skipped, and nothing of it may stay.
        if (!weights.every(Number.isFinite)) return weight_S
        const sources = index_S.map(this.sourceIndex)
        this.add(weights, sources)
        const means = Float32Array.from(sources, (source) => this.sums[source]! / this.counts[source]!)
        return tensor(means, [means.length], { device: weight_S.device })
      }),
    )
  }

  private add(weights: Float32Array, sources: readonly number[]): void {
    for (let g = 0; g < this.sums.length; g++) {
      this.sums[g]! *= DECAY
      this.counts[g]! *= DECAY
    }
    sources.forEach((source, i) => {
      this.sums[source]! += weights[i]!
      this.counts[source]! += 1
    })
  }

  observe(scores: Float64Array, step: number): Calibration | undefined {
    return this.inner.observe?.(scores, step)
  }

  rescore(scores: Float64Array): Calibration | undefined {
    return this.inner.rescore?.(scores)
  }

  state(): Readonly<Record<string, unknown>> {
    return { sums: [...this.sums], counts: [...this.counts], inner: this.inner.state() }
  }

  load(state: Readonly<Record<string, unknown>>): void {
    this.sums = Float64Array.from(state.sums as number[])
    this.counts = Float64Array.from(state.counts as number[])
    this.inner.load(state.inner as Readonly<Record<string, unknown>>)
  }
}
