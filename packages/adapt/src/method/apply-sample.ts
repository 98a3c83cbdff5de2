import { full } from '@adapt-ts/torch'
import type { Composition } from './composition.js'
import type { StepFacts } from './contract.js'
import type { WeightPlan } from './plan-step.js'
import { requireUnits } from './require-units.js'

/**
 * Every weight is 1: the method has had its say before the step, in what was left out of the data or in how its sources are drawn. Scores
 * are kept for the records.
 */
export function applySample(
  { signal }: Composition,
  batches: WeightPlan['batches'],
  facts: StepFacts,
): WeightPlan {
  return {
    batches,
    dropped: [],
    scoredTokens: 0,
    weigh(_, evidence) {
      const { length } = evidence.batch.samples
      const score_S = requireUnits('signal', signal.score(evidence, facts), length, facts.device)
      return { score_S, weight_S: full([length], 1, { device: score_S.device }) }
    },
  }
}
