/** S samples of a step. */
import type { Tensor } from '@adapt-ts/torch'
import { defineSignal, type Evidence, type Signal, type StepFacts } from '../method/index.js'
import { stepProducts } from './step-products.js'

/** The loss of each sample, and the products of their gradients: <g_i, g_j>, g the gradient of a sample's mean loss. */
const sampleGradients: Signal = {
  score: (evidence: Evidence): Tensor => evidence.sampleLoss_S(),
  interactions: (step: readonly Evidence[], facts: StepFacts): Tensor => stepProducts(step, facts),
}

/** For gates that look at gradients over the trained linear layers; +6N FLOPs per token. */
export const gradientProducts = defineSignal({
  kind: 'gradient-products',
  about: 'the mean loss of the sample, and what the gradients of the samples of a step have in common',
  unit: 'sample',
  interactions: true,
  options: {},
  needs: () => ({ factors: true, tokenLosses: true }),
  create: () => sampleGradients,
})
