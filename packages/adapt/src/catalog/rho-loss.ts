import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { reducibleLoss } from '../signal/index.js'

/** Reducible holdout loss selection, arXiv 2206.07137: the plain mean over the samples that are kept. */
export const rhoLoss = defineMethod({
  id: 'rho-loss',
  about: 'draws ten times as many samples as it trains and keeps those with most left to learn',
  page: 'docs/methods/rho-loss.md',
  signal: reducibleLoss,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.1 } },
  normalizer: () => 'sample.mean',
})
