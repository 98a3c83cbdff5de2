import { calibratedSigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { frozenEmbedding } from '../signal/index.js'

/** ADAPT with scores of the model before training: what is lost without scoring while training. */
export const adaptFrozen = defineMethod({
  id: 'adapt-frozen',
  about: 'adapt-calibrated with the scores of the model before training: the control for scoring online',
  page: 'docs/methods/adapt-frozen.md',
  signal: frozenEmbedding,
  gate: calibratedSigmoidGate,
  apply: 'loss',
})
