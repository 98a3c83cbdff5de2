import { full, type Tensor } from '@adapt-ts/torch'
import type { Signal } from '../method/index.js'

/** No signal: every score is 1. With the identity gate this is uniform training. */
export function createConstantSignal(): Signal {
  return {
    score: ({ batch, hidden_BTD }): Tensor => full([batch.samples.length], 1, { device: hidden_BTD.device }),
  }
}
