import { sigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { modelEmbedding } from '../signal/index.js'

/** ADAPT, arXiv 2605.05227, with the self-normalised loss. */
export const adapt = defineMethod({
  id: 'adapt',
  about: 'weights by closeness to the anchors, as the model itself now sees it',
  page: 'docs/methods/adapt.md',
  signal: modelEmbedding,
  gate: sigmoidGate,
  apply: 'loss',
})
