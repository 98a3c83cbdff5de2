import { softmaxGate } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { lossSignal } from '../signal/index.js'

/** Instance reweighting by distributionally robust optimisation, arXiv 2402.14270: w = softmax(l / lambda) over the step. */
export const irDro = defineMethod({
  id: 'ir-dro',
  about: 'weighs samples by the softmax of their losses over the step',
  page: 'docs/methods/ir-dro.md',
  signal: lossSignal,
  gate: softmaxGate,
  apply: 'loss',
  normalizer: () => 'sample.wmean',
})
