/** B rows, T positions, D width, S samples, N labelled positions of a micro-batch; G sources; U units of a score. */
import type { Collective, Device, Tensor } from '@adapt-ts/torch'
import type { Batch, SampleDraw } from '../batch/index.js'
import type { ModelInputs } from '../model/index.js'

/** What one score belongs to. */
export type Unit = 'token' | 'sample' | 'source'

/** What a weight does: scale the loss, share out what is read next, or decide what is trained at all. */
export type Apply = 'loss' | 'sample' | 'mask'

/** What must be there before a score can be; nothing else is computed or asked of the user. */
export interface Needs {
  /** Anchors in the config. */
  readonly anchors?: boolean
  /** A forward of its own in evaluation mode (+2N FLOPs per token), not the training forward. */
  readonly ownForward?: boolean
  readonly tokenLosses?: boolean
  /** Token losses of a frozen model, from the artefact of `prepare`. */
  readonly reference?: boolean
  /** Inputs and output gradients of the trained linear layers. */
  readonly factors?: boolean
  /** The optimiser's second moments, of the whole model on every rank. */
  readonly moments?: boolean
  /** Most tokens of a sample that are looked at, in a forward of its own: of a longer one a part at random. For scores of samples alone. */
  readonly window?: number
  /** Records with prompts: not plain text alone. */
  readonly prompts?: boolean
  /** One sample a row. */
  readonly unpacked?: boolean
  /** The training data must name at least this many sources. */
  readonly sources?: number
}

/** One micro-batch as a signal sees it. Asking for what `needs` does not name throws. Tensors are read only, without gradient. */
export interface Evidence {
  readonly batch: Batch
  readonly inputs: ModelInputs
  /** float32 [B, T, D] after the final norm. */
  readonly hidden_BTD: Tensor
  /** float32 [N], nats, in row-major order of the labelled positions; computed when asked for. */
  tokenLoss_N(): Tensor
  /** float32 [S], mean nats per label (0 without labels). */
  sampleLoss_S(): Tensor
  /** float32 [N], the same tokens under the reference. */
  referenceLoss_N(): Tensor
  /** Sample within the micro-batch of each labelled position. */
  readonly sampleOf_N: Int32Array
  /** Of the sum over samples of each one's mean loss; the same at every call, belongs to the scope of the forward. */
  factors(): LinearFactors
}

/** What the gradient of every trained linear layer is made of: g_i = sum over the positions p of sample i of gradient_p (x) input_p. */
export interface LinearFactors extends Disposable {
  readonly layers: readonly {
    readonly name: string
    /** [P, in] and [P, out], float32 or the dtype of autocast, over all positions of the micro-batch that are no padding, sample after sample. */
    readonly input_PI: Tensor
    readonly gradient_PO: Tensor
  }[]
  /** Sample within the micro-batch of each position. */
  readonly sampleOf_P: Int32Array
}

/** What a method may know of the training data. */
export interface DataFacts {
  /** P */
  readonly numSamples: number
  readonly sources: readonly string[]
  /** Index into `sources` of the sample with this dense index. */
  sourceIndex(index: number): number
  /** Tokens of a sample. */
  length(index: number): number
  /** Share of each source in the tokens that the order of the data draws, before a method steers the draw: [G], sums to 1. */
  drawShares(): Float64Array
}

/** What a method's parts are made with: the same for a whole run, on every rank. */
export interface RunFacts {
  readonly totalSteps: number
  /** Steps between two refreshes "once per epoch". */
  readonly stepsPerEpoch: number
  /** How often the run reads the training data; absent where that is not known. */
  readonly passes?: number
  readonly seed: number
  /** Whether every training record is plain text (else prompts are masked). */
  readonly isPlainText: boolean
  /** Absent where a `Trainer` is fed batches without it. */
  readonly data?: DataFacts
  /** How the config cuts a step: for a method whose source makes a constant of it, and for nothing else. Absent for a `Trainer` by itself. */
  readonly layout?: { readonly accumulation: number; readonly worldSize: number }
}

/** AdamW as it stands before the update of a step: what it would make of a gradient. */
export interface OptimizerView {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /**
   * Mean square of a parameter's gradients, as stored, in the parameter's shape: the optimiser's own, read only.
   * @param name  As in `LinearFactors`. @returns undefined for one that is not trained; `updates`: how often it was.
   */
  secondMoment(name: string): { readonly value: Tensor; readonly updates: number } | undefined
}

/** What the trainer lends a method in one optimiser step. */
export interface StepTools {
  readonly collective: Collective
  /** Where the model is: scores, weights and what parts keep for them belong there. */
  readonly device: Device
  /** Completed optimiser steps: 0 in the first. */
  readonly step: number
  /** Of this step. */
  readonly learningRate: number
  /** Absent where nothing is trained. */
  readonly optimizer?: OptimizerView
  /** All anchors as batches, the same on every rank. */
  readonly anchors: readonly Batch[]
  /**
   * What other batches look like to the model as it is now, in evaluation mode and the dtype of training; belongs to the current scope.
   * @param how.exactLosses  The output head is multiplied in float32 all the same: for small differences of losses.
   */
  look(batch: Batch, how?: { readonly exactLosses?: boolean }): Evidence
  /** Charges the forward of these tokens (over all ranks) to the signal; gives its FLOPs. What is scored is charged by the planner. */
  charge(numTokens: number): number
  /**
   * This rank's micro-batches of some samples of the training data, cut as every global batch is. Apply `mask` within a step needs it.
   * @param samples  Dense indexes, the same on every rank.
   */
  readonly layOut?: ((samples: readonly number[]) => readonly Batch[]) | undefined
  /**
   * This rank's part of some samples of the training data in batches to look at, which are the same whatever the ranks and the rows of a step.
   * A method that scores the pool between two steps needs it.
   * @param samples  Dense indexes, the same on every rank.
   */
  readonly layOutPool?: ((samples: ArrayLike<number>) => Iterable<Batch>) | undefined
}

/** What a part of a method may use in optimiser step `step`. */
export interface StepFacts extends RunFacts, StepTools {}

/** What a step was, the same on every rank. */
export interface StepOutcome {
  /** Completed optimiser steps, this one included. */
  readonly step: number
  /** False when its loss or gradient was not: nothing that was seen in it may be kept. */
  readonly wasFinite: boolean
  /** Of the trained samples with labels of all ranks, in global order. */
  readonly samples: {
    /** Dense indexes. */
    readonly index: Float64Array
    readonly labels: Float64Array
    readonly score: Float64Array
    readonly weight: Float64Array
    /** Mean nats per label. */
    readonly loss: Float64Array
  }
}

/** Samples of the training data as the model found them between two steps, the same on every rank. */
export interface ScoredPool {
  /** Dense indexes. */
  readonly index: ArrayLike<number>
  /** float32, of the signal. */
  readonly score: Float32Array
  readonly labels: Float64Array
  /** Mean nats per label; where the signal or the gate needs token losses. */
  readonly loss?: Float32Array
}

/** A line for the event log: `kind` is the method's own word. */
export interface MethodEvent {
  readonly kind: string
  /** Completed optimiser steps when it happened. */
  readonly step: number
  readonly fields: Readonly<Record<string, string | number | boolean | Readonly<Record<string, number>>>>
}

/** Everything needed for an identical resume. Tensors stay their owner's. */
export interface PluginState {
  readonly json: Readonly<Record<string, unknown>>
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** The state of a part that has none. */
export const NO_STATE: PluginState = { json: {}, tensors: new Map() }

/** What signal and gate have in common: a life between two steps. All of it is optional; state changes here and nowhere else. */
export interface Life {
  /** Before an optimiser step: refreshes its own state when due. */
  beforeStep?(facts: StepFacts): void
  /** After every step, on every rank; also after one that was not finite, of which nothing may be kept. */
  observe?(outcome: StepOutcome, facts: StepFacts): void
  /** Before the rows of a step are drawn, when the gate wanted the pool scored: the signal first. */
  observePool?(pool: ScoredPool, facts: StepFacts): void
  /** What happened since it was last asked. */
  takeEvents?(): readonly MethodEvent[]
  /** Everything needed for an identical resume. */
  state?(): PluginState
  /** Takes over what `state` gave; tensors are copied. */
  load?(state: PluginState): void
  /** Frees what is kept between steps. */
  dispose?(): void
}

/** How far scores can be trusted, in [-1, 1]; at or below 0: not at all. */
export interface Trust {
  /** Rank correlation of the scores that two halves of the anchors give. */
  readonly halves: number
  /** 2 AUC - 1 of anchors, each scored by the others, against training samples. */
  readonly separation: number
}

/**
 * What is measured. A score may depend on the model as it is now and on state that is frozen during an optimiser step: never on how the step is
 * cut into micro-batches or ranks.
 */
export interface Signal extends Life {
  /** Overrides what the definition says: for parts made by code. */
  readonly needs?: Needs
  /** float32 [U], detached: U is N for tokens, S for samples and sources. Called inside the micro-batch's scope. */
  score(evidence: Evidence, facts: StepFacts): Tensor
  /** float32 [S, S] over the whole step and all ranks, in the order of the scores, for a gate that needs it. */
  interactions?(step: readonly Evidence[], facts: StepFacts): Tensor
  /** New scores of recent samples when what a score means has changed since they were given; once. */
  takeRescored?(): Float64Array | undefined
  /** How far its scores can be trusted, after a refresh that could tell; once. */
  takeTrust?(): Trust | undefined
  /** Of a signal whose scores were made before training and are looked up. */
  readonly stored?: StoredScores
}

/** Scores by dense index that are looked up, and how they are made anew while training. */
export interface StoredScores {
  /** As they stand, [P]; undefined where preparation left shares or a selection only. */
  scores(): Float32Array | undefined
  /** Where they are made anew. */
  readonly rescoring?: Rescoring
  /** Takes new scores over, the same on every rank. */
  take(pool: ScoredPool, facts: StepFacts): void
}

/** Scores of the pool by the model as it is, between two steps, for a signal that was scored before training. */
export interface Rescoring {
  /** Which samples are scored anew before the rows of the step after `step` completed ones are drawn; undefined: none. A function of `step`. */
  wants(step: number): ArrayLike<number> | undefined
  /** float32 [S] of samples of the pool, one a row; charges every token that it looks at. */
  score(batch: Batch, facts: StepFacts): Tensor
  /** What the event log should know of all new scores. @throws {AdaptError} to end the run. */
  figures?(pool: ScoredPool): Readonly<Record<string, number>>
}

/** Scores of one micro-batch, or of the whole step over all ranks for a gate whose view is `step`, or of the pool. */
export interface Scores {
  /** float32 [U]. */
  readonly score: Tensor
  /** Dense index of the sample of each unit, [U]. */
  readonly index: readonly number[]
  /** Index of its source, [U]. @throws {ConfigError} NEEDS_DATA without facts of the data. */
  readonly source: Uint16Array
  /** Labels of each unit (1 for a token), [U]. */
  readonly labels: Float64Array
  /** float32 [S, S]; for a gate that asks for it. */
  readonly interactions?: Tensor
}

/** What the weighted sum of a step is divided by where neither a count nor the weights say it; the same on every rank. */
export interface StepDivisor {
  /** Whether a sample counts by its mean loss, or each of its labels. */
  readonly unit: 'sample' | 'token'
  /** Z, > 0. */
  readonly z: number
}

/** Turns scores into weights >= 0. */
export interface Gate extends Life {
  /** Overrides what the definition says: for parts made by code. */
  readonly view?: 'batch' | 'step'
  /** float32 [U], >= 0, detached; belongs to the current scope. With apply `mask` 0 means: not trained. */
  weights(scores: Scores, facts: StepFacts): Tensor
  /** Scores of recent samples under a refreshed signal: what was observed before means something else now. */
  rescore?(scores: Float64Array, step: number): void
  /** How far the scores of a refreshed signal can be trusted; comes before they are scored again. */
  trust?(figures: Trust, step: number): void
  /**
   * What the sum of this step is divided by in the place of the normaliser, for a gate whose definition says that it divides.
   * @param labels  Of the step, over all ranks.
   */
  divisor?(labels: number, facts: StepFacts): StepDivisor | undefined
  /** apply `sample`: share of each source in what is read next, [G], sums to 1. */
  shares?(): Float64Array
  /**
   * apply `sample`, sample by sample: which samples are to be scored, by the model as it is then, before the rows of the step after `step`
   * completed ones are drawn; `observePool` gets them. Undefined: none, the draw goes on. A function of `step` and of state.
   */
  wants?(step: number): ArrayLike<number> | undefined
  /** apply `sample`, sample by sample: what is read next; undefined: the order of `data.mixing`. */
  draw?(): SampleDraw | undefined
}
