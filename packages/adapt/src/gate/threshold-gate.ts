import { bind, eq, full, noGrad, scope, type Tensor, where, zerosLike } from '@adapt-ts/torch'
import { defineGate } from '../method/define-method.js'
import { real, SCORE } from '../method/option-table.js'

const atLeast = bind('aten::ge', 'Scalar')

/** w = 1 where s >= threshold, else 0; a score that is not a number gets a weight that is none either, so that its step counts as not finite. */
export const thresholdGate = defineGate({
  kind: 'threshold',
  about: '1 from a threshold on, else 0',
  units: ['token', 'sample'],
  applies: ['loss'],
  view: 'batch',
  options: { threshold: real(SCORE, 0.5, 'The lowest score with weight 1.') },
  create: ({ threshold }) => ({
    weights: ({ score }) =>
      noGrad(() =>
        scope(() => {
          const { shape, device } = score
          const isKept = atLeast(score, threshold) as Tensor
          const weight_U = where(isKept, full(shape, 1, { device }), zerosLike(score))
          return where(eq(score, score), weight_U, full([], Number.NaN, { device }))
        }),
      ),
  }),
})
