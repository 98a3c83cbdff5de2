import { fixedPoint } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { anchorDirection } from '../signal/index.js'

/** Joint-update-aware weights, DataFlex pull request 58: sum_i w_i l_i, the weights of a step sum to 1. */
export const jointUpdateAware = defineMethod({
  id: 'joint-update-aware',
  about: 'weights by closeness to the anchors, less for samples that resemble others of weight',
  page: 'docs/methods/joint-update-aware.md',
  signal: anchorDirection,
  gate: fixedPoint,
  apply: 'loss',
  normalizer: () => 'sample.wmean',
})
