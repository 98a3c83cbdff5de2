import { band } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossSignal } from '../signal/index.js'

/** The `loss` selector of DataFlex: every U steps the losses of the pool decide what is drawn. */
export const lossSelection = defineMethod({
  id: 'loss-selection',
  about: 'draws the samples of one band of losses more often, by the model as it is every U steps',
  page: 'docs/methods/loss-selection.md',
  signal: lossSignal,
  gate: band,
  apply: 'sample',
})
