import { full, tensor } from '@adapt-ts/torch'
import type { Composition } from './composition.js'
import type { StepFacts } from './contract.js'
import type { WeightPlan } from './plan-step.js'
import { requireUnits } from './require-units.js'

/**
 * Every weight is 1: the method has had its say before the step, in what was left out of the data or in what is drawn. Scores are kept for
 * the records; of samples that are drawn by weights of their own those are the scores.
 */
export function applySample(
  { signal, gate }: Composition,
  batches: WeightPlan['batches'],
  facts: StepFacts,
): WeightPlan {
  const drawn = gate.draw?.()
  return {
    batches,
    dropped: [],
    scoredTokens: 0,
    weigh(_, evidence) {
      const { samples } = evidence.batch
      const { length } = samples
      if (drawn !== undefined) {
        const { device } = evidence.hidden_BTD
        const drawn_S = Float32Array.from(samples, ({ index }) => drawn.weight_P[index] ?? 1)
        return { score_S: tensor(drawn_S, [length], { device }), weight_S: full([length], 1, { device }) }
      }
      const score_S = requireUnits('signal', signal.score(evidence, facts), length, facts.device)
      return { score_S, weight_S: full([length], 1, { device: score_S.device }) }
    },
  }
}
