import { defineGate } from '../method/define-method.js'
import { real, SCORE } from '../method/option-table.js'
import { createLinearGate } from './gates.js'

/** {@link createLinearGate}. */
export const linearGate = defineGate({
  kind: 'linear',
  about: 'max(offset + slope s, 0)',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  options: {
    offset: real(SCORE, 1, 'Weight of a score of 0.'),
    slope: real(SCORE, 1, 'Weight per unit of the score.'),
  },
  create: (options) => createLinearGate(options),
})
