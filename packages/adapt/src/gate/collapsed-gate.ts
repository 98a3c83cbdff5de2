/** S samples of a whole optimiser step. */
import {
  add,
  div,
  indexSelect,
  matmul,
  mul,
  noGrad,
  scope,
  type Tensor,
  tensor,
  toDType,
} from '@adapt-ts/torch'
import {
  DeviceNumbers,
  type Gate,
  type PluginState,
  type Scores,
  type StepFacts,
  type StepOutcome,
} from '../method/index.js'
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
  private sums: DeviceNumbers
  private counts: Float64Array
  /** Both with the running step, which stay only when it was one. */
  private pending: { readonly sums: DeviceNumbers; readonly counts: Float64Array } | undefined

  constructor(inner: Gate, { sourceIndex, numSources }: CollapsedGateOptions) {
    super(inner)
    this.sourceIndex = sourceIndex
    this.sums = new DeviceNumbers(Array<number>(numSources).fill(0))
    this.counts = new Float64Array(numSources)
  }

  weights(scores: Scores, facts: StepFacts): Tensor {
    return noGrad(() =>
      scope(() => {
        const weight_S = this.inner.weights(scores, facts)
        const { device } = weight_S
        const sources = scores.index.map(this.sourceIndex)
        const { sums, counts } = this.add(toDType(weight_S, 'float64'), sources)
        const mean_G = div(sums, tensor(counts, [counts.length], { device }))
        const source_S = tensor(Int32Array.from(sources), [sources.length], { dtype: 'int64', device })
        return toDType(indexSelect(mean_G, 0, source_S), 'float32')
      }),
    )
  }

  /** The sums, float64 [G], and counts with this step. */
  private add(weight_S: Tensor, sources: readonly number[]) {
    const { device } = weight_S
    const [G, S] = [this.counts.length, sources.length]
    const counts = this.counts.map((count) => count * DECAY)
    const belongs_GS = new Float64Array(G * S)
    sources.forEach((source, i) => {
      counts[source]! += 1
      belongs_GS[source * S + i] = 1
    })
    this.drop()
    const sums = new DeviceNumbers([])
    sums.replace(() =>
      add(mul(this.sums.on(device), DECAY), matmul(tensor(belongs_GS, [G, S], { device }), weight_S)),
    )
    this.pending = { sums, counts }
    return { sums: sums.on(device), counts }
  }

  private drop(): void {
    this.pending?.sums[Symbol.dispose]()
    this.pending = undefined
  }

  override observe(outcome: StepOutcome, facts: StepFacts): void {
    super.observe(outcome, facts)
    if (this.pending !== undefined && outcome.wasFinite) {
      this.sums[Symbol.dispose]()
      this.sums = this.pending.sums
      this.counts = this.pending.counts
      this.pending = undefined
    }
    this.drop()
  }

  /** The running sums, and what the gate inside keeps. */
  override state(): PluginState {
    const { json, tensors } = super.state()
    return { json: { sums: this.sums.toArray(), counts: [...this.counts], ...json }, tensors }
  }

  override load(state: PluginState): void {
    super.load(state)
    this.sums[Symbol.dispose]()
    this.sums = new DeviceNumbers(state.json.sums as number[])
    this.counts = Float64Array.from(state.json.counts as number[])
  }

  override dispose(): void {
    super.dispose()
    this.drop()
    this.sums[Symbol.dispose]()
  }
}
