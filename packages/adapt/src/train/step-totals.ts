/** N labelled positions, S samples of a micro-batch. */
import { type Collective, cat, noGrad, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { denominator, tokenFactor } from '../loss/index.js'
import type { Method } from '../method/index.js'
import type { SampleRecord } from '../record/index.js'
import { meanBySample } from './sample-loss.js'

/** What a micro-batch leaves on the device for the end of the step. */
export interface MicroBatchTally {
  readonly batch: Batch
  /** Sample of each labelled position. */
  readonly sampleOf: Int32Array
  readonly loss_N: Tensor
  readonly score_S: Tensor
  readonly weight_S: Tensor
}

/** One optimiser step in numbers; losses and Z run over all ranks, `samples` are this rank's. */
export interface StepTotals {
  /** This rank's samples. */
  readonly samples: readonly SampleRecord[]
  /** Scores of all ranks' samples with labels. */
  readonly scores: Float64Array
  /** New scores of recent samples, when the signal's meaning changed with this step. */
  readonly rescored?: Float64Array
  /** (1/Z) sum_i w_i l_i, and the same with every gate weight 1; nats, 0 where Z is 0. */
  readonly lossWeighted: number
  readonly lossUnweighted: number
  /** Z of the normaliser. */
  readonly denominator: number
  /** Norm of the gradient of `lossWeighted`, before clipping. */
  readonly gradNorm: number
  readonly numTokens: number
  readonly numTokensProcessed: number
  /** False when a value is not finite or no weight is left: the optimiser must not move. */
  readonly canUpdate: boolean
  readonly isFinite: boolean
  readonly signalMs: number
}

interface SynchroniseContext {
  readonly method: Method
  readonly collective: Collective
  readonly signalMs: number
}

/** The one place in a step where the host waits for the device: everything it wants to know, in one copy. */
export function synchronise(
  tallies: readonly MicroBatchTally[],
  gradNorm: Tensor,
  context: SynchroniseContext,
): StepTotals {
  const host = noGrad(() =>
    scope(() => {
      const parts = tallies.flatMap(({ loss_N, score_S, weight_S }) => [loss_N, score_S, weight_S])
      return cat([reshape(gradNorm, [1]), ...parts]).toFloat32Array()
    }),
  )
  let position = 1
  const take = (count: number) => {
    position += count
    return host.subarray(position - count, position)
  }
  const samples = tallies.flatMap(({ batch, sampleOf }) => {
    const losses = meanBySample(take(sampleOf.length), sampleOf, batch.samples.length)
    const scores = take(batch.samples.length)
    const weights = take(batch.samples.length)
    return batch.samples.map(
      ({ index, id, source, weight, numLabels }, i): SampleRecord => ({
        index,
        id,
        source,
        score: scores[i]!,
        weight: weights[i]!,
        sampleWeight: weight,
        loss: losses[i]!,
        tokens: numLabels,
      }),
    )
  })
  const numTokensProcessed = tallies.reduce(
    (sum, { batch }) => sum + batch.samples.reduce((n, { numTokens }) => n + numTokens, 0),
    0,
  )
  return total(samples, host[0]!, numTokensProcessed, context)
}

function total(
  samples: readonly SampleRecord[],
  gradNorm: number,
  numTokensProcessed: number,
  context: SynchroniseContext,
): StepTotals {
  const { method, collective, signalMs } = context
  const { normalizer } = method
  const labelled = samples.filter(({ tokens }) => tokens > 0)
  const weigh = (useGate: boolean) => {
    const weighted = labelled.map(({ weight, sampleWeight, tokens }) => ({
      weight: sampleWeight * (useGate ? weight : 1),
      numLabels: tokens,
    }))
    const numerator = labelled.reduce(
      (sum, { loss, tokens }, i) =>
        sum + weighted[i]!.weight * loss * tokens * tokenFactor(normalizer, tokens),
      0,
    )
    return [numerator, denominator(normalizer, weighted)]
  }
  const [weightedSum, z, plainSum, plainZ, weightSum, numTokens, processed] = collective.allReduceNumbers([
    ...weigh(true),
    ...weigh(false),
    labelled.reduce((sum, { weight, sampleWeight }) => sum + weight * sampleWeight, 0),
    labelled.reduce((sum, { tokens }) => sum + tokens, 0),
    numTokensProcessed,
  ]) as [number, number, number, number, number, number, number]
  // Nothing to learn from is a loss of 0, not 0 / 0.
  const share = (numerator: number, divisor: number) => (divisor === 0 ? 0 : numerator / divisor)
  const finite = Number.isFinite(gradNorm) && Number.isFinite(weightedSum)
  return {
    samples,
    scores: gatherScores(labelled, collective),
    lossWeighted: share(weightedSum, z),
    lossUnweighted: share(plainSum, plainZ),
    denominator: z,
    gradNorm,
    numTokens,
    numTokensProcessed: processed,
    isFinite: finite,
    // With a count as Z, weights of 0 alone would still let the moments move the parameters.
    canUpdate: finite && z > 0 && weightSum > 0,
    signalMs,
  }
}

function gatherScores(samples: readonly SampleRecord[], collective: Collective): Float64Array {
  const mine = Float64Array.from(samples, ({ score }) => score)
  if (collective.worldSize === 1) return mine
  return scope(() => cat(collective.allGather(tensor(mine, [mine.length]))).toFloat64Array())
}
