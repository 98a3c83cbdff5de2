/** U samples of the pool that are scored. */
import { noGrad, scope, type Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import type { Composition } from './composition.js'
import type { Rescoring, ScoredPool, StepFacts } from './contract.js'
import type { PoolProgress } from './plan-step.js'
import { readTogether } from './read-together.js'
import { requireData } from './require-data.js'
import { requireUnits } from './require-units.js'

/**
 * Scores of samples of the training data by the model as it is, in evaluation mode: 2N FLOPs a token, 6N where the signal asks for gradients,
 * charged when all is done. Ranks share the batches, which depend on the samples alone. Scores that were made before training are looked up.
 *
 * @throws {ConfigError} NEEDS_DATA where the training data is not at hand.
 */
export function* scorePool(
  composition: Composition,
  index: ArrayLike<number>,
  facts: StepFacts,
): Generator<PoolProgress, ScoredPool> {
  const { signal, needs, isStored } = composition
  const score_P = isStored ? signal.stored?.scores() : undefined
  if (score_P !== undefined) {
    // Samples without labels were scored like the others.
    const labels = new Float64Array(index.length).fill(1)
    return { index, score: Float32Array.from(index, (sample) => score_P[sample]!), labels }
  }
  const data = requireData(facts, composition.id)
  const hasLoss = needs.tokenLosses === true
  const pool = yield* lookThrough({ id: composition.id, index, facts, hasLoss }, (batch) => {
    const evidence = facts.look(batch)
    const score_S = signal.score(evidence, facts)
    return hasLoss ? [score_S, evidence.sampleLoss_S()] : [score_S]
  })
  const numTokens = Array.from(index, (sample) => data.length(sample)).reduce((a, b) => a + b, 0)
  // A backward costs twice its forward.
  facts.charge(needs.factors ? 3 * numTokens : numTokens)
  return pool
}

/** New scores in the place of those that were made before training; charges what the signal looked at on all ranks, when all is done. */
export function* rescorePool(
  id: string,
  rescoring: Rescoring,
  index: ArrayLike<number>,
  facts: StepFacts,
): Generator<PoolProgress, ScoredPool> {
  let numTokens = 0
  const own: StepFacts = {
    ...facts,
    charge(tokens) {
      numTokens += tokens
      return 0
    },
  }
  const pool = yield* lookThrough({ id, index, facts: own, hasLoss: false }, (batch) => [
    rescoring.score(batch, own),
  ])
  facts.charge(facts.collective.allReduceNumbers([numTokens])[0]!)
  return pool
}

interface Look {
  readonly id: string
  readonly index: ArrayLike<number>
  readonly facts: StepFacts
  readonly hasLoss: boolean
}

/**
 * Looks at samples batch by batch, each rank at its part.
 * @param of  Score of each sample of a batch, and its loss where that is wanted.
 */
function* lookThrough(
  { id, index, facts, hasLoss }: Look,
  of: (batch: Batch) => readonly [score: Tensor, loss?: Tensor],
): Generator<PoolProgress, ScoredPool> {
  const { layOutPool, collective } = facts
  if (layOutPool === undefined) {
    throw new ConfigError(
      'NEEDS_DATA',
      `method ${id}: expected the training data to be at hand, to score it between two steps, received none`,
    )
  }
  const placeOf = new Map(Array.from(index, (sample, place) => [sample, place]))
  const [score, labels, loss] = [0, 1, 2].map(() => new Float64Array(index.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  let done = 0
  for (const batch of layOutPool(index)) {
    const [scores, losses] = scope(() =>
      noGrad(() => {
        const [score_S, loss_S] = of(batch)
        requireUnits('signal', score_S, batch.samples.length, facts.device)
        return readTogether([score_S, ...(loss_S ? [loss_S] : [])])
      }),
    ) as [Float32Array, Float32Array?]
    for (const [i, sample] of batch.samples.entries()) {
      const place = placeOf.get(sample.index)!
      score[place] = scores[i]!
      labels[place] = sample.numLabels
      if (losses) loss[place] = losses[i]!
    }
    done += batch.samples.length
    yield { done, total: Math.ceil(index.length / collective.worldSize) }
  }
  const all = [score, labels, ...(hasLoss ? [loss] : [])].map((values) => overRanks(values, facts))
  return {
    index,
    score: Float32Array.from(all[0]!),
    labels: Float64Array.from(all[1]!),
    ...(all[2] ? { loss: Float32Array.from(all[2]) } : {}),
  }
}

/** Each rank has its own samples and 0 elsewhere. */
function overRanks(values: Float64Array, { collective }: StepFacts): ArrayLike<number> {
  return collective.worldSize === 1 ? values : collective.allReduceNumbers([...values])
}
