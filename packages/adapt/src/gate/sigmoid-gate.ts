import { defineGate } from '../method/define-method.js'
import { real } from '../method/option-table.js'
import { createSigmoidGate } from './gates.js'
import { temperature } from './temperature.js'

/** {@link createSigmoidGate}. */
export const sigmoidGate = defineGate({
  kind: 'sigmoid',
  about: 'clip(sigmoid(s / temperature), w_min, w_max)',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  options: {
    temperature,
    wMin: real({ min: 0, max: 1e6 }, 0, 'Smallest weight.'),
    wMax: real({ min: 1e-9, max: 1e6 }, 1, 'Largest weight.'),
  },
  check({ wMin, wMax }) {
    if (wMin < wMax) return []
    return [{ key: 'wMin', message: `expected a weight below method.gate.w_max (${wMax}), received ${wMin}` }]
  },
  create: (options) => createSigmoidGate(options),
})
