/** S samples, V anchors. */
import { mean, mul, noGrad, scope, type Tensor } from '@adapt-ts/torch'
import { createPermutation, selectSamples } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { defineSignal } from '../method/define-method.js'
import type { Evidence, LinearFactors, Signal, StepFacts } from '../method/index.js'
import { whole } from '../method/option-table.js'
import { countTokens } from './embed-anchors.js'
import { ghostProducts, stepProducts } from './ghost-products.js'

/** Tells this draw apart from others with the same seed. */
const STREAM = 29

/** Backward and forward are three forwards: 6N FLOPs per token. */
const FORWARDS = 3

/**
 * How far one SGD step on a sample would lower the loss of a few anchors that are drawn anew in every step:
 *
 *   s_i = eta <g_i, mean over v of g_v>,   J_ij = eta^2 <g_i, g_j>
 *
 * eta the learning rate of the step, g the gradient of the sample's mean loss over the trained linear layers.
 */
class GhostAlignment implements Signal {
  private drawn: { readonly factors: LinearFactors; readonly count: number } | undefined

  constructor(private readonly validation: number) {}

  beforeStep(facts: StepFacts): void {
    this.dispose()
    const places = drawAnchors(facts, this.validation)
    const batch = selectSamples(facts.anchors, places)
    facts.charge(FORWARDS * countTokens([batch]))
    scope(() => {
      const factors = facts.look(batch).factors()
      for (const { input_PI, gradient_PO } of factors.layers) {
        input_PI.persist()
        gradient_PO.persist()
      }
      this.drawn = { factors, count: places.length }
    })
  }

  score(evidence: Evidence, { learningRate, device }: StepFacts): Tensor {
    const { factors, count } = this.drawn!
    const { samples } = evidence.batch
    return noGrad(() =>
      scope(() => {
        const products_SV = ghostProducts(evidence.factors(), samples.length, factors, count, { device })
        return mul(mean(products_SV, 1), learningRate)
      }),
    )
  }

  interactions(step: readonly Evidence[], facts: StepFacts): Tensor {
    return noGrad(() => scope(() => mul(stepProducts(step, facts), facts.learningRate ** 2)))
  }

  dispose(): void {
    this.drawn?.factors[Symbol.dispose]()
    this.drawn = undefined
  }
}

/**
 * Places of the anchors of a step, counted through their batches: a function of seed and step alone.
 * @throws {ConfigError} NO_ANCHORS without an anchor that has a label.
 */
export function drawAnchors(
  { anchors, seed, step }: Pick<StepFacts, 'anchors' | 'seed' | 'step'>,
  count: number,
): number[] {
  const samples = anchors.flatMap((batch) => batch.samples)
  const places = [...samples.keys()].filter((place) => samples[place]!.numLabels > 0)
  if (places.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: expected at least one anchor with a label for signal ghost-alignment, received none',
    )
  }
  const placeOf = createPermutation({ seed, epoch: step, numSamples: places.length, stream: STREAM })
  return Array.from({ length: Math.min(count, places.length) }, (_, i) => places[placeOf(i)]!)
}

/** Signal of GREATS. */
export const ghostAlignment = defineSignal({
  kind: 'ghost-alignment',
  about: 'how far a gradient step on the sample would lower the loss of a few anchors',
  unit: 'sample',
  interactions: true,
  options: {
    validation: whole({ min: 1 }, 2, 'Anchors that are drawn anew in every step'),
  },
  needs: () => ({ anchors: true, factors: true, tokenLosses: true }),
  create: ({ validation }) => new GhostAlignment(validation),
  cost: ({ validation }, { params, steps, tokensPerAnchor, anchors }) => ({
    preparation: 0,
    signal: 6 * params * steps * Math.min(validation, anchors) * tokensPerAnchor,
  }),
})
