import { calibratedSigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { modelEmbedding } from '../signal/index.js'

/** ADAPT on centred embeddings, held to a target of effective sample size and mean weight. */
export const adaptCalibrated = defineMethod({
  id: 'adapt-calibrated',
  about: 'adapt on centred embeddings, its gate held to a target',
  page: 'docs/methods/adapt-calibrated.md',
  signal: modelEmbedding,
  gate: calibratedSigmoidGate,
  apply: 'loss',
  preset: { signal: { center: true } },
})
