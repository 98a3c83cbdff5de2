/** S samples. */
import { full, scope, type Tensor, tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { numTokensOf } from './apply-loss.js'
import type { Composition } from './composition.js'
import type { Evidence, StepFacts } from './contract.js'
import type { DroppedSample, WeightPlan } from './plan-step.js'
import { readTogether } from './read-together.js'
import { requireUnits } from './require-units.js'
import { scoredPart } from './scored-part.js'
import { gatherScores, sampleUnits, scoresOf } from './step-scores.js'

/**
 * Samples whose weight is 0 are not trained at all. Every rank scores its share of the candidates; all of them pick the same ones, which are
 * laid out anew, so that what is dropped costs no forward and backward of training.
 *
 * @throws {ConfigError} NEEDS_DATA where samples cannot be laid out again.
 */
export function applyMask(composition: Composition, batches: readonly Batch[], facts: StepFacts): WeightPlan {
  const { layOut } = facts
  if (layOut === undefined) {
    throw new ConfigError(
      'NEEDS_DATA',
      `method ${composition.id}: expected the training data to be at hand, to lay out the samples that are kept, received none`,
    )
  }
  return scope((): WeightPlan => {
    const { kept, scoreOf, dropped, wasFinite, scoredTokens } = scoreCandidates(composition, batches, facts)
    return {
      // Cut as a global batch is: the last ones may be empty.
      batches: layOut(kept).filter(({ rows }) => rows > 0),
      dropped,
      scoredTokens,
      weigh(_, { batch, hidden_BTD }) {
        const { device } = hidden_BTD
        const { samples } = batch
        const scores = Float32Array.from(samples, (sample) => scoreOf.get(sample.index) ?? 0)
        return {
          score_S: tensor(scores, [samples.length], { device }),
          weight_S: full([samples.length], wasFinite ? 1 : Number.NaN, { device }),
        }
      },
    }
  })
}

function scoreCandidates(composition: Composition, batches: readonly Batch[], facts: StepFacts) {
  const { signal, gate, interactions, needs } = composition
  // Kept until the gate has spoken where samples are compared with each other.
  const inTurn = interactions ? <T>(fn: () => T): T => fn() : scope
  const looks: Evidence[] = []
  const units = batches.map(sampleUnits)
  const scored = batches.map((batch) => scoredPart(batch, needs, facts))
  const seen = scored.map((batch) =>
    inTurn(() => {
      const evidence = facts.look(batch)
      // Made here, where they outlive the signal's own scope: the ledger shows them too.
      evidence.tokenLoss_N()
      if (interactions) looks.push(evidence)
      const { length } = batch.samples
      const score_S = requireUnits('signal', signal.score(evidence, facts), length, facts.device)
      return { score_S, loss_S: evidence.sampleLoss_S() }
    }),
  )
  const gathered = gatherScores(
    seen.map(({ score_S }) => score_S),
    units,
    facts,
  )
  const products = interactions ? signal.interactions?.(looks, facts) : undefined
  const weights = weigh()
  const own = gathered.ownParts(weights)
  const [score, weight, ...parts] = readTogether([
    gathered.scores.score,
    weights,
    ...seen.flatMap(({ score_S, loss_S }, a) => [score_S, loss_S, own[a]!]),
  ]) as [Float32Array, Float32Array, ...Float32Array[]]
  // A step whose scores are not numbers is no step: all of it is laid out, and its loss says so.
  const wasFinite = !score.some(Number.isNaN)
  const dropped = batches.flatMap((batch, a): DroppedSample[] => {
    const [scores, losses, kept] = parts.slice(3 * a, 3 * a + 3) as [Float32Array, Float32Array, Float32Array]
    return batch.samples.flatMap(({ numLabels }, place) =>
      (wasFinite ? kept[place]! : numLabels) > 0
        ? []
        : [{ batch, place, score: scores[place]!, loss: losses[place]! }],
    )
  })
  const { index } = gathered.scores
  const kept = index.filter((_, i) => !wasFinite || weight[i]! > 0)
  return {
    scoreOf: new Map(index.map((sample, i) => [sample, score[i]!])),
    kept,
    dropped,
    wasFinite,
    scoredTokens: numTokensOf(scored),
  }

  function weigh(): Tensor {
    const { score, index, labels } = gathered.scores
    if (index.length === 0) return zeros([0], { device: facts.device })
    const scores = scoresOf(score, index, labels, facts, products)
    return requireUnits('gate', gate.weights(scores, facts), index.length, facts.device)
  }
}
