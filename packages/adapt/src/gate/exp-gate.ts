import { div, exp, noGrad, scope } from '@adapt-ts/torch'
import { defineGate } from '../method/define-method.js'
import { temperature } from './temperature.js'

/** w = exp(s / temperature), of each score alone: of a log-probability the probability itself. */
export const expGate = defineGate({
  kind: 'exp',
  about: 'exp(s / temperature)',
  units: ['token', 'sample'],
  applies: ['loss'],
  view: 'batch',
  options: { temperature },
  create: (options) => ({
    weights: ({ score }) => noGrad(() => scope(() => exp(div(score, options.temperature)))),
  }),
})
