import { thresholdGate } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { tokenMass } from '../signal/index.js'

/** PriFT by probability mass, arXiv 2606.09396: the tokens that the model before training does not find unlikely. */
export const priftMass = defineMethod({
  id: 'prift-mass',
  about: 'trains on the tokens that stand in the likelier half of what the model expected before training',
  page: 'docs/methods/prift-mass.md',
  signal: tokenMass,
  gate: thresholdGate,
  apply: 'loss',
  normalizer: () => 'token.mean',
})
