import type { Tensor } from '@adapt-ts/torch'
import {
  type Gate,
  type MethodEvent,
  NO_STATE,
  type PluginState,
  type Scores,
  type StepDivisor,
  type StepFacts,
  type StepOutcome,
  type Trust,
} from '../method/index.js'

/** Another gate with its aim taken away: whatever does not concern the weights goes to the gate inside. */
export abstract class ControlGate implements Gate {
  readonly view = 'step'

  protected constructor(protected readonly inner: Gate) {}

  abstract weights(scores: Scores, facts: StepFacts): Tensor

  beforeStep(facts: StepFacts): void {
    this.inner.beforeStep?.(facts)
  }

  divisor(labels: number, facts: StepFacts): StepDivisor | undefined {
    return this.inner.divisor?.(labels, facts)
  }

  observe(outcome: StepOutcome, facts: StepFacts): void {
    this.inner.observe?.(outcome, facts)
  }

  rescore(scores: Float64Array, step: number): void {
    this.inner.rescore?.(scores, step)
  }

  trust(figures: Trust, step: number): void {
    this.inner.trust?.(figures, step)
  }

  takeEvents(): readonly MethodEvent[] {
    return this.inner.takeEvents?.() ?? []
  }

  /** What the gate inside keeps. */
  state(): PluginState {
    const { json, tensors } = this.inner.state?.() ?? NO_STATE
    return { json: { inner: json }, tensors }
  }

  load({ json, tensors }: PluginState): void {
    this.inner.load?.({ json: json.inner as PluginState['json'], tensors })
  }

  dispose(): void {
    this.inner.dispose?.()
  }
}
