import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { representation } from '../signal/index.js'

/** Representation-based data selection as LESS (arXiv 2402.04333) compares itself with. */
export const rds = defineMethod({
  id: 'rds',
  about:
    'trains on the samples whose last state, under the model before training, is nearest to a task of the anchors',
  page: 'docs/methods/rds.md',
  signal: representation,
  gate: topFraction,
  apply: 'mask',
  preset: { signal: { pooling: 'last', aggregate: 'task_max' }, gate: { keep: 0.025 } },
})
