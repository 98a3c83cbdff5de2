/** S samples, N labelled positions of a micro-batch; G sources. */
import type { Tensor } from '@adapt-ts/torch'
import type { Batch, SampleDraw } from '../batch/index.js'
import type { Normalizer } from '../loss/index.js'
import type {
  Evidence,
  MethodEvent,
  Needs,
  PluginState,
  StepDivisor,
  StepOutcome,
  StepTools,
} from './contract.js'
import type { Artefact } from './preparation.js'

/** Scores and weights of a micro-batch. They belong to the current scope. */
export interface Weights {
  /** float32 [S] */
  readonly score_S: Tensor
  /** float32 [S], >= 0, detached. The mean over the sample's labels where tokens are weighted one by one. */
  readonly weight_S: Tensor
  /** float32 [N]. Absent: every label of a sample has its sample's weight. */
  readonly weight_N?: Tensor
}

/** A sample that was scored and is not trained. */
export interface DroppedSample {
  readonly batch: Batch
  /** Place in `batch.samples`. */
  readonly place: number
  readonly score: number
  /** Mean nats per label, where the scoring forward gave it. */
  readonly loss?: number
}

/** How one optimiser step is trained. */
export interface WeightPlan {
  /** What is trained on this rank: the batches of the step, or fewer rows where a mask drops samples. */
  readonly batches: readonly Batch[]
  /** Weights of micro-batch `index` of `batches`; called once each, with its training forward at hand. */
  weigh(index: number, evidence: Evidence): Weights
  /** Of this rank; their ledger rows have weight 0. */
  readonly dropped: readonly DroppedSample[]
  /** This rank's tokens that had a scoring forward of their own. */
  readonly scoredTokens: number
  /** In the place of the method's normaliser. */
  readonly divisor?: StepDivisor
}

/** How far the pool is scored, in samples of this rank. */
export interface PoolProgress {
  readonly done: number
  readonly total: number
}

/** All that the trainer and the loop know of a method. */
export interface Method extends Disposable {
  readonly id: string
  readonly normalizer: Normalizer
  readonly needs: Needs
  /** Token losses of the reference that evidence is made with. */
  readonly reference: Artefact['tokenLoss']
  /** Rows drawn for each row that is trained. */
  readonly candidates: number
  /** Share of each source in the rows of the next step, [G]; undefined: the order of `data.mixing`. */
  shares(): Float64Array | undefined
  /** What the next step reads, sample by sample; undefined: by `shares`, or the order of `data.mixing`. */
  draw(): SampleDraw | undefined
  /** Whether what the step after `step` completed ones reads is decided only when those are done. */
  decidesDraw(step: number): boolean
  /**
   * Before the rows of a step are drawn: scores the pool where that is due. Yields between two batches; what is not taken to its end changes
   * nothing.
   */
  beforeDraw(tools: StepTools): Generator<PoolProgress, void>
  /** Refreshes what is due. */
  beforeStep(tools: StepTools): void
  /** How this rank's micro-batches are trained; every rank must call it. */
  plan(batches: readonly Batch[], tools: StepTools): WeightPlan
  /** After every step, on every rank. */
  observe(outcome: StepOutcome, tools: StepTools): void
  /** What happened since it was last asked, in order. */
  takeEvents(): readonly MethodEvent[]
  /** Of both parts. */
  state(): PluginState
  /** Takes over what `state` gave. */
  load(state: PluginState): void
}
