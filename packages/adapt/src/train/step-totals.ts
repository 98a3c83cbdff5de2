/** N labelled positions, S samples of a micro-batch. */
import { type Collective, cat, noGrad, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { denominator, meanBySample, type Normalizer, tokenFactor } from '../loss/index.js'
import { gatherInOrder, type StepOutcome, type WeightPlan, type Weights } from '../method/index.js'
import type { SampleRecord } from '../record/index.js'

/** What a micro-batch leaves on the device for the end of the step. */
export interface MicroBatchTally extends Weights {
  readonly batch: Batch
  /** Sample of each labelled position. */
  readonly sampleOf: Int32Array
  readonly loss_N: Tensor
}

/** One optimiser step in numbers; losses and Z run over all ranks, `samples` are this rank's. */
export interface StepTotals {
  /** This rank's samples; those that were scored and not trained come last, with weight 0. */
  readonly samples: readonly SampleRecord[]
  /** Trained samples with labels of all ranks. */
  readonly outcome: StepOutcome['samples']
  /** (1/Z) sum_i w_i l_i, and the same with every gate weight 1; nats, 0 where Z is 0. */
  readonly lossWeighted: number
  readonly lossUnweighted: number
  /** Z of the normaliser. */
  readonly denominator: number
  /** Norm of the gradient of `lossWeighted`, before clipping. */
  readonly gradNorm: number
  readonly numTokens: number
  readonly numTokensProcessed: number
  /** Tokens that had a scoring forward of their own. */
  readonly scoredTokens: number
  /** False when a value is not finite or no weight is left: the optimiser must not move. */
  readonly canUpdate: boolean
  readonly isFinite: boolean
  readonly signalMs: number
  /** Milliseconds that this rank waited for the gradients of the others. */
  readonly waitMs: number
}

interface SynchroniseContext {
  readonly plan: WeightPlan
  readonly normalizer: Normalizer
  readonly collective: Collective
}

/** A trained sample and, where its tokens have weights of their own, (1/n_i) sum_t w_it ce_it in the place of w_i l_i. */
interface TrainedSample {
  readonly record: SampleRecord
  readonly weightedLoss?: number | undefined
}

type SynchronisedTotals = Omit<StepTotals, 'signalMs' | 'waitMs'>

/**
 * The one place in a step where the host waits for the device: everything it wants to know, in one copy.
 *
 * @param ownNorm  Norm of the gradients that this rank answers for; those of all ranks are all of them.
 */
export function synchronise(
  tallies: readonly MicroBatchTally[],
  ownNorm: Tensor,
  context: SynchroniseContext,
): SynchronisedTotals {
  const host = noGrad(() =>
    scope(() => {
      const parts = tallies.flatMap(({ loss_N, score_S, weight_S, weight_N }) => [
        ...[loss_N, score_S, weight_S],
        ...(weight_N ? [weight_N] : []),
      ])
      return cat([reshape(ownNorm, [1]), ...parts]).toFloat32Array()
    }),
  )
  let position = 1
  const take = (count: number) => {
    position += count
    return host.subarray(position - count, position)
  }
  const trained = tallies.map(({ batch, sampleOf, weight_N }): TrainedSample[] => {
    const loss_N = take(sampleOf.length)
    const scores = take(batch.samples.length)
    const weights = take(batch.samples.length)
    const ownWeights = weight_N && take(sampleOf.length)
    const losses = meanBySample(loss_N, sampleOf, batch.samples.length)
    const weighted =
      ownWeights &&
      meanBySample(
        loss_N.map((loss, n) => loss * ownWeights[n]!),
        sampleOf,
        batch.samples.length,
      )
    return batch.samples.map((_, i) => {
      const record = recordOf(batch, i, { score: scores[i]!, weight: weights[i]!, loss: losses[i]! })
      return { record, weightedLoss: weighted?.[i] }
    })
  })
  return total(trained, host[0]!, context)
}

function recordOf(
  batch: Batch,
  place: number,
  values: Pick<SampleRecord, 'score' | 'weight' | 'loss'>,
): SampleRecord {
  const { index, id, source, weight: sampleWeight, numLabels: tokens } = batch.samples[place]!
  const { score, weight, loss } = values
  return { index, id, source, score, weight, sampleWeight, loss, tokens }
}

function total(
  byMicroBatch: readonly (readonly TrainedSample[])[],
  ownNorm: number,
  { plan, normalizer, collective }: SynchroniseContext,
): SynchronisedTotals {
  const isLabelled = ({ record }: TrainedSample) => record.tokens > 0
  const labelled = byMicroBatch.flat().filter(isLabelled)
  const dropped = plan.dropped.map(({ batch, place, score, loss }) =>
    recordOf(batch, place, { score, weight: 0, loss: loss ?? 0 }),
  )
  // What the loss would be without the method: over what was dropped too.
  const all = [...labelled.map(({ record }) => record), ...dropped.filter(({ tokens }) => tokens > 0)]
  const sumOf = <T>(list: readonly T[], of: (item: T) => number) =>
    list.reduce((sum, item) => sum + of(item), 0)
  const term = ({ tokens }: SampleRecord, weight: number, loss: number) =>
    weight * loss * tokens * tokenFactor(normalizer, tokens)
  const mass = ({ weight, sampleWeight, tokens }: SampleRecord) => ({
    weight: weight * sampleWeight,
    numLabels: tokens,
  })
  const [
    weightedSum,
    countedZ,
    plainSum,
    countedPlainZ,
    weightSum,
    numTokens,
    numTokensProcessed,
    scoredTokens,
    squaredNorm,
  ] = collective.allReduceNumbers([
    sumOf(labelled, ({ record, weightedLoss }) =>
      weightedLoss === undefined
        ? term(record, record.sampleWeight * record.weight, record.loss)
        : term(record, record.sampleWeight, weightedLoss),
    ),
    denominator(
      normalizer,
      labelled.map(({ record }) => mass(record)),
    ),
    sumOf(all, (record) => term(record, record.sampleWeight, record.loss)),
    denominator(
      normalizer,
      all.map((record) => mass({ ...record, weight: 1 })),
    ),
    sumOf(labelled, ({ record }) => record.weight * record.sampleWeight),
    sumOf(labelled, ({ record }) => record.tokens),
    sumOf(plan.batches, ({ samples }) => sumOf(samples, (sample) => sample.numTokens)),
    plan.scoredTokens,
    ownNorm ** 2,
  ]) as [number, number, number, number, number, number, number, number, number]
  const gradNorm = Math.sqrt(squaredNorm)
  const z = plan.divisor?.z ?? countedZ
  const plainZ = plan.divisor?.z ?? countedPlainZ
  // Nothing to learn from is a loss of 0, not 0 / 0.
  const ratio = (numerator: number, divisor: number) => (divisor === 0 ? 0 : numerator / divisor)
  const finite = Number.isFinite(gradNorm) && Number.isFinite(weightedSum)
  return {
    samples: [...byMicroBatch.flat().map(({ record }) => record), ...dropped],
    outcome: gatherOutcome(
      byMicroBatch.map((samples) => samples.filter(isLabelled).map(({ record }) => record)),
      collective,
    ),
    lossWeighted: ratio(weightedSum, z),
    lossUnweighted: ratio(plainSum, plainZ),
    denominator: z,
    gradNorm,
    numTokens,
    numTokensProcessed,
    scoredTokens,
    isFinite: finite,
    // With a count as Z, weights of 0 alone would still let the moments move the parameters.
    canUpdate: finite && z > 0 && weightSum > 0,
  }
}

const OUTCOME_FIELDS = ['index', 'tokens', 'score', 'weight', 'loss'] as const

/** What the step was for every rank: its samples with labels, in global order. */
function gatherOutcome(
  byMicroBatch: readonly (readonly SampleRecord[])[],
  collective: Collective,
): StepOutcome['samples'] {
  const rows = (samples: readonly SampleRecord[]) =>
    Float64Array.from(samples.flatMap((sample) => OUTCOME_FIELDS.map((field) => sample[field])))
  const values =
    collective.worldSize === 1
      ? rows(byMicroBatch.flat())
      : scope(() => {
          const parts = byMicroBatch.map((samples) =>
            tensor(rows(samples), [samples.length, OUTCOME_FIELDS.length]),
          )
          const gathered = gatherInOrder(parts, collective, { device: 'cpu', dtype: 'float64' })
          return Float64Array.from(gathered.flatMap((part) => [...part.rows.toFloat64Array()]))
        })
  const column = (field: (typeof OUTCOME_FIELDS)[number]) => {
    const first = OUTCOME_FIELDS.indexOf(field)
    return Float64Array.from(
      { length: values.length / OUTCOME_FIELDS.length },
      (_, i) => values[i * OUTCOME_FIELDS.length + first]!,
    )
  }
  return {
    index: column('index'),
    labels: column('tokens'),
    score: column('score'),
    weight: column('weight'),
    loss: column('loss'),
  }
}
