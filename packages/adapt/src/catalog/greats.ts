import { greedy } from '../gate/greedy.js'
import { defineMethod } from '../method/define-method.js'
import { ghostAlignment } from '../signal/ghost-alignment.js'

/** GREATS, Wang et al., NeurIPS 2024. */
export const greats = defineMethod({
  id: 'greats',
  about:
    'draws twice as many samples as it trains and keeps those whose gradients lower the loss of the anchors most',
  page: 'docs/methods/greats.md',
  signal: ghostAlignment,
  gate: greedy,
  apply: 'mask',
})
