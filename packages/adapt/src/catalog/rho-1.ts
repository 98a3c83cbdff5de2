import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { excessLoss } from '../signal/index.js'

/** Selective language modelling, arXiv 2404.07965: the mean loss of the tokens that a reference finds easiest by comparison. */
export const rho1 = defineMethod({
  id: 'rho-1',
  about: 'trains on the tokens whose loss lies furthest above that of a reference',
  page: 'docs/methods/rho-1.md',
  signal: excessLoss,
  gate: topFraction,
  apply: 'loss',
  preset: { gate: { keep: 0.6, ties: 'all' } },
  normalizer: () => 'token.wmean',
})
