import type { Tensor } from '@adapt-ts/torch'
import type { Calibration } from './calibration.js'

/**
 * Turns scores into weights >= 0. A gate that needs `none` sees one score at a time and state frozen at the start
 * of the optimiser step; one that needs `step` is given the scores of the whole step (all ranks and micro-batches).
 */
export interface Gate {
  readonly needs: 'none' | 'step'
  /**
   * float32 [S] -> float32 [S], detached. Belongs to the current scope.
   * @param index_S  Dense indexes of the samples; always given to a gate that needs `step`.
   */
  weights(score_S: Tensor, index_S?: readonly number[]): Tensor
  /** The step's scores (samples with labels, all ranks), after the update. Returns new constants when they changed. */
  observe?(scores: Float64Array, step: number): Calibration | undefined
  /** Scores of recent samples under a refreshed signal: what was observed before means something else now. */
  rescore?(scores: Float64Array): Calibration | undefined
  /** What an identical resume needs; JSON. */
  state(): Readonly<Record<string, unknown>>
  /** Takes over what `state` gave. */
  load(state: Readonly<Record<string, unknown>>): void
}
