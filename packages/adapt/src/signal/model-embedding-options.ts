import type { Aggregate } from './aggregate-scores.js'
import type { Pooling } from './pool-hidden.js'
import type { RefreshKind } from './refresh-schedule.js'

/** Pooling, refresh and centring of the signal. */
export interface ModelEmbeddingOptions {
  readonly pooling?: Pooling
  readonly tokens?: 'all' | 'response_only'
  /** When the anchors are embedded again: all at fixed times, all when a probe has moved, or a few every step. */
  readonly refresh?: RefreshKind
  /** Optimiser steps between two embeddings of the anchors; of a whole round when rolling. Default 50. */
  readonly refreshEvery?: number
  /** adaptive: optimiser steps between two probes. Default 25. */
  readonly probeEvery?: number
  /** adaptive: 1 - cos of the probe that is too much. Default 0.01. */
  readonly drift?: number
  /** adaptive: fewest and most optimiser steps between two refreshes. Default 25 and 1000. */
  readonly refreshMin?: number
  readonly refreshMax?: number
  /** How the similarities to several tasks become one score. Default micro. */
  readonly aggregate?: Aggregate
  /** Sharpness of `lse`. Default 10. */
  readonly lseBeta?: number
  /** Subtract the mean of recent samples from samples and anchors before normalising. Default false. */
  readonly center?: boolean
  /** Share of the new centroid at a refresh, in (0, 1]. Default 1. */
  readonly centroidEma?: number
  /** Score with a forward of its own in evaluation mode. Default false: the training forward is reused. */
  readonly scoreEval?: boolean
  /** Samples remembered for centring and for recalibration at a refresh. Default 4096. */
  readonly reservoirSize?: number
}
