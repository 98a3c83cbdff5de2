import { stochasticGreedy } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { updateAlignment } from '../signal/index.js'

/** OPUS, arXiv 2602.05400. */
export const opus = defineMethod({
  id: 'opus',
  about:
    'draws four times as many samples as it trains and keeps those whose optimiser updates lower the loss of the anchors, by lot',
  page: 'docs/methods/opus.md',
  signal: updateAlignment,
  gate: stochasticGreedy,
  apply: 'mask',
})
