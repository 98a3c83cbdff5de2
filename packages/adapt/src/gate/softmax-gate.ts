import { defineGate } from '../method/define-method.js'
import { createSoftmaxGate } from './gates.js'
import { temperature } from './temperature.js'

/** {@link createSoftmaxGate}. */
export const softmaxGate = defineGate({
  kind: 'softmax',
  about: 'n exp(s / temperature) / sum exp(s / temperature) over the step',
  units: ['sample'],
  applies: ['loss'],
  view: 'step',
  options: { temperature },
  create: (options) => createSoftmaxGate(options),
})
