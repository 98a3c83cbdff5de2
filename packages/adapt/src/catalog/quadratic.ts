import { minMaxSoftmax } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossSignal } from '../signal/index.js'

/** Quadratic, arXiv 2502.06733: sum_i w_i l_i, most for the losses in the middle of their step. */
export const quadratic = defineMethod({
  id: 'quadratic',
  about: 'weighs the samples most whose losses lie in the middle of their step',
  page: 'docs/methods/quadratic.md',
  signal: lossSignal,
  gate: minMaxSoftmax,
  apply: 'loss',
  preset: { gate: { shape: 'quadratic' } },
  normalizer: () => 'sample.wmean',
})
