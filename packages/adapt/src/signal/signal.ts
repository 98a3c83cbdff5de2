/** B rows, T positions, D width, S samples of a micro-batch. */
import type { Collective, Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { ModelInputs } from '../model/index.js'
import type { RefreshReason } from './refresh-schedule.js'

/** One micro-batch as a signal sees it. Tensors are read only and carry no gradient. */
export interface SignalBatch {
  readonly inputs: ModelInputs
  /** float32 [B, T, D] after the final norm. */
  readonly hidden_BTD: Tensor
  /** float32 [S], mean nats per label (0 without labels); computed when asked for. */
  sampleLoss_S(): Tensor
}

/** What a signal may use between optimiser steps. */
export interface SignalContext {
  readonly collective: Collective
  /** All anchors as batches, the same on every rank. */
  readonly anchors: readonly Batch[]
  /** Forward without a graph, in evaluation mode and the dtype of training; belongs to the current scope. */
  embed(batch: Batch): SignalBatch
  /** Charges the forward of these tokens (over all ranks) to the signal; embedding for `score` is charged elsewhere. */
  charge(numTokens: number): void
}

/** What a refresh did, for the event log. */
export interface RefreshReport {
  readonly reason: RefreshReason
  readonly numAnchors: number
  /** Tokens embedded over all ranks since the last report, probes and rolling parts included. */
  readonly numTokens: number
  /** Figures of the anchor set in camelCase; those of a task are called `figure.task`. */
  readonly figures: Readonly<Record<string, number>>
  /** New scores of recently seen samples, when the signal keeps them: a calibrated gate starts over from these. */
  readonly rescored?: Float64Array
}

/** Everything needed for an identical resume. */
export interface PluginState {
  readonly json: Readonly<Record<string, unknown>>
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** The state of a plug-in that has none. */
export const NO_STATE: PluginState = { json: {}, tensors: new Map() }

/**
 * What is measured. A score may depend on the model as it is now and on state that is frozen during an optimiser
 * step: never on how the step is cut into micro-batches or ranks.
 */
export interface Signal {
  readonly needs: {
    readonly anchors: boolean
    /** Scores need a forward of their own before the training forward (+2N FLOPs per token). */
    readonly separateForward: boolean
  }
  /** One score a sample, float32 [S], detached. Called inside the micro-batch's scope. */
  score(batch: SignalBatch): Tensor
  /** Called before optimiser step `step` (0-based); refreshes its own state when due. */
  beforeStep?(step: number, context: SignalContext): RefreshReport | undefined
  /**
   * Called after the step's last micro-batch, on every rank. When the step was not finite (its loss or gradient),
   * nothing that was seen in it may be kept. Returns new scores of the samples seen so far when what a score means
   * has changed since they were given.
   */
  afterStep?(context: SignalContext, wasFinite: boolean): Float64Array | undefined
  /** What an identical resume needs. Tensors stay the signal's own. */
  state(): PluginState
  /** Takes over what `state` gave; tensors are copied. */
  load(state: PluginState): void
  /** Frees what the signal keeps between steps. */
  dispose(): void
}
