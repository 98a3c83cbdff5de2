import { expGate } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { tokenLikelihood } from '../signal/index.js'

/** Dynamic fine-tuning, arXiv 2508.05629: (1/N) sum_t p_t ce_t, whose gradient is that of -(1/N) sum_t p_t. With `reference: base` PriFT, arXiv 2606.09396. */
export const dft = defineMethod({
  id: 'dft',
  about: 'weighs every token by its own probability',
  page: 'docs/methods/dft.md',
  signal: tokenLikelihood,
  gate: expGate,
  apply: 'loss',
  normalizer: () => 'token.mean',
})
