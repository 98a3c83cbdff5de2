/** S samples of a whole optimiser step. */
import { noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Gate, PluginState, Scores, StepFacts, StepOutcome } from '../method/index.js'
import { ControlGate } from './control-gate.js'

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
export class CollapsedGate extends ControlGate {
  private readonly sourceIndex: (index: number) => number
  private sums: Float64Array
  private counts: Float64Array
  /** The sums with the running step, which stay only when it was one. */
  private pending: { readonly sums: Float64Array; readonly counts: Float64Array } | undefined

  constructor(inner: Gate, { sourceIndex, numSources }: CollapsedGateOptions) {
    super(inner)
    this.sourceIndex = sourceIndex
    this.sums = new Float64Array(numSources)
    this.counts = new Float64Array(numSources)
  }

  weights(scores: Scores, facts: StepFacts): Tensor {
    return noGrad(() =>
      scope(() => {
        const weight_S = this.inner.weights(scores, facts)
        const weights = weight_S.toFloat32Array()
        // A step that is not finite is skipped, and nothing of it may stay.
        if (!weights.every(Number.isFinite)) return weight_S
        const sources = scores.index.map(this.sourceIndex)
        const { sums, counts } = this.add(weights, sources)
        this.pending = { sums, counts }
        const means = Float32Array.from(sources, (source) => sums[source]! / counts[source]!)
        return tensor(means, [means.length], { device: weight_S.device })
      }),
    )
  }

  private add(weights: Float32Array, sources: readonly number[]) {
    const sums = this.sums.map((sum) => sum * DECAY)
    const counts = this.counts.map((count) => count * DECAY)
    sources.forEach((source, i) => {
      sums[source]! += weights[i]!
      counts[source]! += 1
    })
    return { sums, counts }
  }

  override observe(outcome: StepOutcome, facts: StepFacts): void {
    super.observe(outcome, facts)
    if (this.pending !== undefined && outcome.wasFinite) {
      this.sums = this.pending.sums
      this.counts = this.pending.counts
    }
    this.pending = undefined
  }

  /** The running sums, and what the gate inside keeps. */
  override state(): PluginState {
    const { json, tensors } = super.state()
    return { json: { sums: [...this.sums], counts: [...this.counts], ...json }, tensors }
  }

  override load(state: PluginState): void {
    super.load(state)
    this.sums = Float64Array.from(state.json.sums as number[])
    this.counts = Float64Array.from(state.json.counts as number[])
  }
}
