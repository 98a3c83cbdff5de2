/** U units, S samples, N labelled positions of a micro-batch. */
import { scope, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { sampleMeans } from '../loss/index.js'
import type { Composition } from './composition.js'
import type { Evidence, StepFacts } from './contract.js'
import { evidenceOf } from './evidence.js'
import type { WeightPlan, Weights } from './plan-step.js'
import { requireUnits } from './require-units.js'
import { scoredPart } from './scored-part.js'
import {
  type BatchUnits,
  batchScores,
  gatherScores,
  sampleUnits,
  scoresOf,
  tokenUnits,
} from './step-scores.js'

/**
 * The weight scales the loss. One pass where the method allows it: the training forward gives scores and weights at once, also for a gate that
 * must see the whole step when that is one micro-batch on every rank. Otherwise a scoring forward of the whole step comes first.
 */
export function applyLoss(composition: Composition, batches: readonly Batch[], facts: StepFacts): WeightPlan {
  if (needsScoringPhase(composition, numMicroBatches(batches, facts))) {
    return scoringPhase(composition, batches, facts)
  }
  return {
    batches,
    dropped: [],
    scoredTokens: 0,
    weigh(_, evidence) {
      const units = unitsOf(composition, evidence.batch, evidence)
      const score_U = scoreUnits(composition, evidence, units, facts)
      if (composition.view === 'batch') {
        const weight_U = weighAlone(composition, score_U, units, facts)
        return perSample(units, composition, score_U, weight_U)
      }
      const [weight_U] = weighTogether(composition, [score_U], [units], [evidence], facts)
      return perSample(units, composition, score_U, weight_U!)
    },
  }
}

/**
 * Whether the scores of a step come from a forward of their own, which costs 2 N FLOPs for each token: where the signal asks for one, or the
 * gate must see the whole step before the first of several backwards. Scores that were made before training are looked up.
 *
 * @param microBatches  Of a step, on each rank.
 */
export function needsScoringForward(
  composition: Pick<Composition, 'view' | 'needs' | 'isStored'>,
  microBatches: number,
): boolean {
  return !composition.isStored && needsScoringPhase(composition, microBatches)
}

/** Whether all scores of a step must be there before its first micro-batch is trained. */
function needsScoringPhase(
  { view, needs }: Pick<Composition, 'view' | 'needs'>,
  microBatches: number,
): boolean {
  const sees = needs.ownForward === true || needs.factors === true || needs.window !== undefined
  return sees || (view === 'step' && microBatches !== 1)
}

/** Of every rank; 0 where the ranks differ, since all of them must take part in bringing scores together. */
function numMicroBatches(batches: readonly Batch[], { collective }: StepFacts): number {
  if (collective.worldSize === 1) return batches.length
  const isOne = collective.allReduceNumbers([batches.length === 1 ? 1 : 0])[0] === collective.worldSize
  return isOne ? 1 : 0
}

function scoringPhase(composition: Composition, batches: readonly Batch[], facts: StepFacts): WeightPlan {
  const units: BatchUnits[] = []
  const parts = batches.map((batch) => scoredPart(batch, composition.needs, facts))
  const { scores, weights } = scope(() => {
    const looks: Evidence[] = []
    // Kept until the gate has spoken where samples are compared with each other.
    const inTurn = composition.interactions ? <T>(fn: () => T): T => fn() : scope
    const scores = parts.map((part, a) =>
      inTurn(() => {
        const evidence = composition.isStored ? evidenceOf(part) : facts.look(part)
        if (composition.interactions) looks.push(evidence)
        const own = unitsOf(composition, batches[a]!, evidence)
        units.push(own)
        return scoreUnits(composition, evidence, own, facts)
      }),
    )
    const weights =
      composition.view === 'step' ? weighTogether(composition, scores, units, looks, facts) : undefined
    return { scores, weights }
  })
  const scoredTokens = composition.isStored ? 0 : numTokensOf(parts)
  return {
    batches,
    dropped: [],
    scoredTokens,
    weigh(index) {
      const score_U = scores[index]!
      const weight_U = weights?.[index] ?? weighAlone(composition, score_U, units[index]!, facts)
      return perSample(units[index]!, composition, score_U, weight_U)
    },
  }
}

/** Tokens of the samples, padding not counted. */
export function numTokensOf(batches: readonly Batch[]): number {
  return batches.flatMap(({ samples }) => samples).reduce((sum, { numTokens }) => sum + numTokens, 0)
}

/** @param batch  Of which the evidence may show a part; tokens are scored one and all. */
function unitsOf({ unit }: Composition, batch: Batch, evidence: Evidence): BatchUnits {
  return unit === 'token' ? tokenUnits(batch, evidence.sampleOf_N) : sampleUnits(batch)
}

function scoreUnits(
  { signal, unit }: Composition,
  evidence: Evidence,
  { labels }: BatchUnits,
  facts: StepFacts,
): Tensor {
  return requireUnits(
    'signal',
    signal.score(evidence, facts),
    labels.length,
    facts.device,
    unit === 'token' ? 'token' : 'sample',
  )
}

function weighAlone(
  { gate, unit }: Composition,
  score_U: Tensor,
  units: BatchUnits,
  facts: StepFacts,
): Tensor {
  const weight_U = gate.weights(batchScores(score_U, units, facts), facts)
  const { length } = units.labels
  return requireUnits('gate', weight_U, length, facts.device, unit === 'token' ? 'token' : 'sample')
}

/** Weights of each micro-batch from the scores of the whole step; units without labels get 0. */
function weighTogether(
  { signal, gate, unit, interactions }: Composition,
  scores: readonly Tensor[],
  units: readonly BatchUnits[],
  looks: readonly Evidence[],
  facts: StepFacts,
): Tensor[] {
  return scope(() => {
    const gathered = gatherScores(scores, units, facts)
    const products = interactions ? signal.interactions?.(looks, facts) : undefined
    const { score, index, labels } = gathered.scores
    const numUnits = index.length
    const all = products ? scoresOf(score, index, labels, facts, products) : gathered.scores
    const weights = numUnits === 0 ? zeros([0], { device: facts.device }) : gate.weights(all, facts)
    const of = unit === 'token' ? 'token' : 'sample'
    return gathered.ownParts(requireUnits('gate', weights, numUnits, facts.device, of))
  })
}

/** Weights of tokens also as the means of their samples, which the records show. */
function perSample({ batch }: BatchUnits, { unit }: Composition, score_U: Tensor, weight_U: Tensor): Weights {
  if (unit !== 'token') return { score_S: score_U, weight_S: weight_U }
  return {
    score_S: sampleMeans(score_U, batch.samples),
    weight_S: sampleMeans(weight_U, batch.samples),
    weight_N: weight_U,
  }
}
