/** N labelled positions of a batch. */
import { type DType, scope } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedTokenLosses, chunkedTokenMasses, labelledPositions } from '../loss/index.js'
import type { PreparationTools, TokenStatistic } from '../method/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { forwardFlops } from '../train/index.js'

const STATISTICS = { loss: chunkedTokenLosses, mass: chunkedTokenMasses } as const

/** A number of each labelled position of a batch, by sample and in their order. */
function bySample(
  model: CausalLM,
  batch: Batch,
  statistic: TokenStatistic,
  autocastDtype: DType | undefined,
): Float32Array[] {
  return scope(() => {
    const labelled = labelledPositions(batch, model.device)
    const values: number[][] = batch.samples.map(() => [])
    if (labelled.count > 0) {
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device), { autocastDtype })
      STATISTICS[statistic](labelled.select(hidden_BTD), model.headWeight, labelled.labels_N, {
        computeDtype: autocastDtype,
      })
        .toFloat32Array()
        .forEach((value, n) => {
          values[labelled.sampleOf[n]!]!.push(value)
        })
    }
    return values.map((list) => Float32Array.from(list))
  })
}

/** Samples of a batch whose losses are computed. */
const LOSS_BATCH = 16

/** A number of each labelled position of some samples under a frozen model, in the order given; charges 2N FLOPs a token. */
export async function tokenStatistics(
  model: CausalLM,
  indexes: readonly number[],
  statistic: TokenStatistic,
  tools: Pick<PreparationTools, 'samples' | 'autocastDtype' | 'charge'>,
): Promise<Float32Array> {
  const found = new Map<number, Float32Array>()
  for await (const batch of tools.samples(indexes, LOSS_BATCH)) {
    const values = bySample(model, batch, statistic, tools.autocastDtype)
    for (const [i, { index }] of batch.samples.entries()) found.set(index, values[i]!)
    const numTokens = batch.samples.reduce((sum, sample) => sum + sample.numTokens, 0)
    tools.charge(forwardFlops(model.numParameters, numTokens))
  }
  return Float32Array.from(indexes.flatMap((index) => [...found.get(index)!]))
}
