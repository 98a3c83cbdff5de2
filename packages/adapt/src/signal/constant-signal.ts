import { full, type Tensor } from '@adapt-ts/torch'
import { NO_STATE, type Signal } from './signal.js'

/** No signal: every score is 1. With the identity gate this is uniform training. */
export function createConstantSignal(): Signal {
  return {
    needs: { anchors: false, separateForward: false },
    score: ({ inputs }): Tensor => full([inputs.batch.samples.length], 1),
    state: () => NO_STATE,
    load() {},
    dispose() {},
  }
}
