import { calibratedSigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { contrastive } from '../signal/index.js'

/** ADAPT with a linear discriminant in the place of the cosine, its gate held to a target. */
export const adaptContrastive = defineMethod({
  id: 'adapt-contrastive',
  about: 'adapt by what tells the anchors from the training data, its gate held to a target',
  page: 'docs/methods/adapt-contrastive.md',
  signal: contrastive,
  gate: calibratedSigmoidGate,
  apply: 'loss',
})
