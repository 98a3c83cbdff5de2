import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { representation } from '../signal/index.js'

/** RDS+, arXiv 2503.01807. */
export const rdsPlus = defineMethod({
  id: 'rds-plus',
  about:
    'trains on the samples that the model before training finds nearest to the anchors, anchor after anchor',
  page: 'docs/methods/rds-plus.md',
  signal: representation,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025 } },
})
