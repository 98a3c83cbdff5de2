/** N samples, V anchors, D width, G rows of the scorer. */
import type { Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { PluginState } from '../method/index.js'
import type { Reservoir } from './reservoir.js'
import type { HalfScores } from './within-sources.js'

/** What turns pooled states into scores by anchors. Its tensors are its own until `dispose`; it changes between optimiser steps only. */
export interface PooledScorer {
  /** Raw pooled anchors, [V, D]. */
  readonly anchors: Tensor | undefined
  /** What samples are compared with now, [G, D]. */
  readonly centroid: Tensor | undefined
  /** What is subtracted from every vector, [D]. */
  readonly mean: Tensor | undefined
  /** Recent training samples that it wants embedded together with the anchors; until there are so many every score is 0. Default: none. */
  readonly background?: number
  /**
   * Takes raw pooled anchors, [V, D] in the order of the batches.
   * @param makeBackground  All anchors were embedded anew, and the background, [N, D], is embedded by this.
   */
  setAnchors(make: () => Tensor, batches: readonly Batch[], makeBackground?: () => Tensor): void
  /** What is remembered of a step's samples [N, D], for `rescore`: [M, D] or nothing. Default: the samples. */
  toRemember?(seen_ND: Tensor): Tensor | undefined
  /**
   * Takes in a step's samples, what is remembered of which the reservoir holds already: [N, D], absent where there were none.
   * @returns Whether scores given so far mean something else now.
   */
  learn(seen_ND: Tensor | undefined, reservoir: Reservoir, batches: readonly Batch[]): boolean
  /** Unit vectors of pooled ones [N, D], for products of samples. Belongs to the current scope. */
  unit(pooled_ND: Tensor): Tensor
  /** float32 [N] of pooled vectors [N, D]. Belongs to the current scope. */
  scores(pooled_ND: Tensor): Tensor
  /** The scores of remembered samples [N, D]; what is relative to recent scores starts over from them. */
  rescore(pooled_ND: Tensor): Float64Array
  /** The scores of remembered samples [N, D] by each of two halves of the anchors in force; undefined where they cannot be halved. */
  halves(batches: readonly Batch[], pooled_ND: Tensor): HalfScores | undefined
  /** What the anchors are worth. @param previous_GD  What samples were compared with before. @param pooled_ND  Training samples. */
  diagnostics(
    batches: readonly Batch[],
    previous_GD?: Tensor,
    pooled_ND?: Tensor,
  ): Readonly<Record<string, number>>
  state(): PluginState
  load(state: PluginState): void
  dispose(): void
}
