import { window } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossFall } from '../signal/index.js'

/** The `delta_loss` selector of DataFlex: what is drawn moves from the samples whose loss fell most to those whose loss fell least. */
export const deltaLoss = defineMethod({
  id: 'delta-loss',
  about: 'draws the samples in a window that moves over how far their losses fell, every U steps',
  page: 'docs/methods/delta-loss.md',
  signal: lossFall,
  gate: window,
  apply: 'sample',
})
