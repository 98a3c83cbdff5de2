import { minMaxSoftmax } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossSignal } from '../signal/index.js'

/** LinUpper, arXiv 2502.06733: sum_i w_i l_i, the weights of a step sum to 1. */
export const linupper = defineMethod({
  id: 'linupper',
  about: 'weighs every sample by its loss, up to a cap in the middle of the step',
  page: 'docs/methods/linupper.md',
  signal: lossSignal,
  gate: minMaxSoftmax,
  apply: 'loss',
  normalizer: () => 'sample.wmean',
})
