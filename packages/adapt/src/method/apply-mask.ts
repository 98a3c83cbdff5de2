/** S samples. */
import { full, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { numTokensOf } from './apply-loss.js'
import type { Composition } from './composition.js'
import type { Evidence, StepFacts } from './contract.js'
import type { DroppedSample, WeightPlan } from './plan-step.js'
import { requireUnits } from './require-units.js'
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
    const candidates = scoreCandidates(composition, batches, facts)
    const { index } = candidates.scores
    const score = candidates.scores.score.toFloat32Array()
    const kept = index.filter((_, i) => candidates.weight[i]! > 0)
    const scoreOf = new Map(index.map((sample, i) => [sample, score[i]!]))
    return {
      // Cut as a global batch is: the last ones may be empty.
      batches: layOut(kept).filter(({ rows }) => rows > 0),
      dropped: candidates.dropped,
      scoredTokens: numTokensOf(batches),
      weigh(_, { batch, hidden_BTD }) {
        const { device } = hidden_BTD
        const { samples } = batch
        const scores = Float32Array.from(samples, (sample) => scoreOf.get(sample.index) ?? 0)
        return {
          score_S: tensor(scores, [samples.length], { device }),
          weight_S: full([samples.length], candidates.wasFinite ? 1 : Number.NaN, { device }),
        }
      },
    }
  })
}

function scoreCandidates(composition: Composition, batches: readonly Batch[], facts: StepFacts) {
  const { signal, gate, interactions } = composition
  // Kept until the gate has spoken where samples are compared with each other.
  const inTurn = interactions ? <T>(fn: () => T): T => fn() : scope
  const looks: Evidence[] = []
  const losses: Float32Array[] = []
  const units = batches.map(sampleUnits)
  const scores = batches.map((batch) =>
    inTurn((): Tensor => {
      const evidence = facts.look(batch)
      // Made here, where they outlive the signal's own scope: the ledger shows them too.
      evidence.tokenLoss_N()
      if (interactions) looks.push(evidence)
      const score_S = requireUnits(
        'signal',
        signal.score(evidence, facts),
        batch.samples.length,
        facts.device,
      )
      losses.push(scope(() => evidence.sampleLoss_S().toFloat32Array()))
      return score_S
    }),
  )
  const gathered = gatherScores(scores, units, facts)
  const products = interactions ? signal.interactions?.(looks, facts) : undefined
  const numUnits = gathered.scores.index.length
  const wasFinite = !gathered.scores.score.toFloat32Array().some(Number.isNaN)
  const weights = weigh()
  const own = gathered.ownParts(weights).map((part) => part.toFloat32Array())
  const dropped = batches.flatMap((batch, a): DroppedSample[] => {
    const score = scores[a]!.toFloat32Array()
    return batch.samples.flatMap((_, place) =>
      own[a]![place]! > 0 ? [] : [{ batch, place, score: score[place]!, loss: losses[a]![place]! }],
    )
  })
  return { scores: gathered.scores, weight: weights.toFloat32Array(), dropped, wasFinite }

  function weigh(): Tensor {
    if (numUnits === 0) return full([0], 1, { device: facts.device })
    // A step whose scores are not numbers is no step: all of it is laid out, and its loss says so.
    if (!wasFinite) return full([numUnits], 1, { device: facts.device })
    const { score, index, labels } = gathered.scores
    return requireUnits(
      'gate',
      gate.weights(scoresOf(score, index, labels, facts, products), facts),
      numUnits,
      facts.device,
    )
  }
}
