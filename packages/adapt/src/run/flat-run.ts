import type { StepRecord } from '../record/index.js'

/** Steps in a row without a gradient after which a person should look. */
const PATIENCE = 10
/** A loss this close to ln V, relatively, is that of a model that says nothing. */
const NEAR = 0.01

/** Notices a run that learns nothing because its gradient is 0: dead weights, or a loss that does not reach what is trained. */
export class FlatRun {
  private numFlat = 0

  /** @param vocabSize  V: equal logits have a loss of ln V. */
  constructor(private readonly vocabSize: number) {}

  /** What to tell after this step: once in a row of steps without a gradient. */
  note({ step, gradNorm, skipped, lossUnweighted }: StepRecord): string | undefined {
    this.numFlat = gradNorm === 0 && !skipped ? this.numFlat + 1 : 0
    if (this.numFlat !== PATIENCE) return undefined
    const equal = Math.log(this.vocabSize)
    const isEqual = Math.abs(lossUnweighted / equal - 1) < NEAR
    const meaning = isEqual
      ? `the loss ${lossUnweighted.toFixed(4)} is ln ${this.vocabSize}, that of a model that finds every token equally likely: its weights are dead`
      : 'nothing that is trained has a part in the loss'
    return `step ${step}: the gradient was 0 in ${PATIENCE} steps in a row, so nothing is learnt; ${meaning}`
  }
}
