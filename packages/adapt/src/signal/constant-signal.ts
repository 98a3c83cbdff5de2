import { full, type Tensor } from '@adapt-ts/torch'
import type { Signal } from '../method/contract.js'
import { defineSignal } from '../method/define-method.js'

/** No signal: every score is 1. With the identity gate this is uniform training. */
export function createConstantSignal(): Signal {
  return {
    score: ({ batch, hidden_BTD }): Tensor => full([batch.samples.length], 1, { device: hidden_BTD.device }),
  }
}

/** {@link createConstantSignal}. */
export const constantSignal = defineSignal({
  kind: 'constant',
  about: 'the constant 1: nothing is measured',
  unit: 'sample',
  options: {},
  needs: () => ({}),
  create: () => createConstantSignal(),
})
