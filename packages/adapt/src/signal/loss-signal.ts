import { defineSignal } from '../method/define-method.js'

/** l_i: the sample's mean loss over its labels in the forward that trains it, or in one of its own where the gate must see the whole step first. */
export const lossSignal = defineSignal({
  kind: 'loss',
  about: 'the mean loss of the sample over its labels, in nats',
  unit: 'sample',
  options: {},
  needs: () => ({ tokenLosses: true }),
  create: () => ({ score: (evidence) => evidence.sampleLoss_S() }),
})
