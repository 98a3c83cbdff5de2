/** U samples of the pool that are scored. */
import { noGrad, scope } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import type { Composition } from './composition.js'
import type { ScoredPool, StepFacts } from './contract.js'
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
  const { signal, needs, isStored, artefact } = composition
  const labels = new Float64Array(index.length)
  if (isStored && artefact.score_P !== undefined) {
    const { score_P } = artefact
    // Samples without labels were scored like the others.
    return { index, score: Float32Array.from(index, (sample) => score_P[sample]!), labels: labels.fill(1) }
  }
  const { layOutPool, collective } = facts
  if (layOutPool === undefined) {
    throw new ConfigError(
      'NEEDS_DATA',
      `method ${composition.id}: expected the training data to be at hand, to score it between two steps, received none`,
    )
  }
  const data = requireData(facts, composition.id)
  const placeOf = new Map(Array.from(index, (sample, place) => [sample, place]))
  const score = new Float64Array(index.length)
  const loss = needs.tokenLosses ? new Float64Array(index.length) : undefined
  let done = 0
  for (const batch of layOutPool(index)) {
    const [scores, losses] = scope(() =>
      noGrad(() => {
        const evidence = facts.look(batch)
        const { length } = batch.samples
        const score_S = requireUnits('signal', signal.score(evidence, facts), length, facts.device)
        return readTogether([score_S, ...(loss ? [evidence.sampleLoss_S()] : [])])
      }),
    ) as [Float32Array, Float32Array?]
    for (const [i, sample] of batch.samples.entries()) {
      const place = placeOf.get(sample.index)!
      score[place] = scores[i]!
      labels[place] = sample.numLabels
      if (loss && losses) loss[place] = losses[i]!
    }
    done += batch.samples.length
    yield { done, total: Math.ceil(index.length / collective.worldSize) }
  }
  const numTokens = Array.from(index, (sample) => data.length(sample)).reduce((a, b) => a + b, 0)
  // A backward costs twice its forward.
  facts.charge(needs.factors ? 3 * numTokens : numTokens)
  const all = [score, labels, ...(loss ? [loss] : [])].map((values) => overRanks(values, facts))
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
