import { defineSignal } from '../method/define-method.js'
import { whole } from '../method/option-table.js'
import { UpdateAlignment } from './update-alignment.js'

/** Signal of GREATS: s_i = eta <g_i, mean over v of g_v>, J_ij = eta^2 <g_i, g_j>, eta the learning rate of the step. */
export const ghostAlignment = defineSignal({
  kind: 'ghost-alignment',
  about: 'how far a gradient step on the sample would lower the loss of a few anchors',
  unit: 'sample',
  interactions: true,
  options: {
    validation: whole({ min: 1 }, 2, 'Anchors that are drawn anew in every step'),
  },
  needs: () => ({ anchors: true, factors: true, tokenLosses: true }),
  create: ({ validation }, { seed }) =>
    new UpdateAlignment(
      { validation, anchorDraw: 'step', scoreLength: Infinity, precondition: 'none', floor: 0, sketch: 0 },
      seed,
    ),
  cost: ({ validation }, { params, steps, tokensPerAnchor, anchors }) => ({
    preparation: 0,
    signal: 6 * params * steps * Math.min(validation, anchors) * tokensPerAnchor,
  }),
})
