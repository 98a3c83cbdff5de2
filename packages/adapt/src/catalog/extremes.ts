import { minMaxSoftmax } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossSignal } from '../signal/index.js'

/** Extremes, arXiv 2502.06733: sum_i w_i l_i, most for the lowest and the highest losses of their step. */
export const extremes = defineMethod({
  id: 'extremes',
  about: 'weighs the samples most whose losses lie at either end of their step',
  page: 'docs/methods/extremes.md',
  signal: lossSignal,
  gate: minMaxSoftmax,
  apply: 'loss',
  preset: { gate: { shape: 'extremes' } },
  normalizer: () => 'sample.wmean',
})
