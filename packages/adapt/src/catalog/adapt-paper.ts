import { sigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { modelEmbedding } from '../signal/index.js'

/** ADAPT as arXiv 2605.05227 has it: the loss is divided by a count, so that the mean weight scales it. */
export const adaptPaper = defineMethod({
  id: 'adapt-paper',
  about: 'adapt with the loss divided by the count, as in the paper',
  page: 'docs/methods/adapt-paper.md',
  signal: modelEmbedding,
  gate: sigmoidGate,
  apply: 'loss',
  normalizer: (unit) => `${unit}.mean`,
})
