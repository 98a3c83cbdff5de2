/** N labelled positions, S samples of a micro-batch. */
import { noGrad, scope, sub, type Tensor } from '@adapt-ts/torch'
import { sampleMeans } from '../loss/index.js'
import { defineSignal, type MethodCost, type RunShape } from '../method/define-method.js'
import { trainingFlops } from '../method/flops.js'
import { divideDifference, divideOptions } from './divide-difference.js'
import { OVER_REFERENCE, prepareReference, referenceOptions } from './reference-losses.js'

/**
 * Before training, 6 N_ref D_ref to train the reference and 2 N_ref for each token of the pool that it scores once; while training nothing beside
 * what the planner charges for a scoring forward. The reference has the run's N; one that is given is
 * charged as if it had where its own cannot be read.
 */
export function referenceCost(
  { reference, holdout, referenceSteps }: { reference: string; holdout: number; referenceSteps: number },
  shape: Pick<RunShape, 'params' | 'tokens' | 'tokensPerPass' | 'paramsRead' | 'frozenBase' | 'recompute'>,
): MethodCost {
  const { params, tokens, tokensPerPass, paramsRead } = shape
  const training = reference === 'train' ? trainingFlops(params, referenceSteps * tokens, shape) : 0
  return {
    preparation: training + 2 * (paramsRead?.reference ?? params) * (1 - holdout) * tokensPerPass,
    signal: 0,
  }
}

/** ce_t - ce_ref,t, or that over ce_t: how much more a token costs the model than the reference. */
export const excessLoss = defineSignal({
  kind: 'excess-loss',
  about: 'the loss of each token less that of a reference, in nats',
  unit: 'token',
  options: { ...referenceOptions(0), ...divideOptions('none') },
  ...OVER_REFERENCE,
  prepare: prepareReference,
  cost: referenceCost,
  create: (options) => ({
    score: (evidence) =>
      noGrad(() => {
        // Made here, where it outlives the scope below: others ask for it too.
        const loss_N = evidence.tokenLoss_N()
        return scope(() => divideDifference(sub(loss_N, evidence.referenceLoss_N()), () => loss_N, options))
      }),
  }),
})

/** l_i - l_il,i, or that over l_i: what is left to learn of a sample, by a model that has learnt from other documents. */
export const reducibleLoss = defineSignal({
  kind: 'reducible-loss',
  about: 'the mean loss of the sample less that of a reference which has not seen it, in nats',
  unit: 'sample',
  options: { ...referenceOptions(0.1), ...divideOptions('none') },
  ...OVER_REFERENCE,
  prepare: prepareReference,
  cost: referenceCost,
  create: (options) => ({
    score: (evidence): Tensor =>
      noGrad(() =>
        scope(() => {
          const excess_N = sub(evidence.tokenLoss_N(), evidence.referenceLoss_N())
          const excess_S = sampleMeans(excess_N, evidence.batch.samples)
          return divideDifference(excess_S, () => evidence.sampleLoss_S(), options)
        }),
      ),
  }),
})
