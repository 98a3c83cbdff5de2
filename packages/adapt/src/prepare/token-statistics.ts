/** N labelled positions of a batch. */
import { type DType, scope } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedTokenLosses, chunkedTokenMasses, labelledPositions } from '../loss/index.js'
import type { TokenStatistic } from '../method/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'

const STATISTICS = { loss: chunkedTokenLosses, mass: chunkedTokenMasses } as const

/** A number of each labelled position of a batch, by sample and in their order. */
export function bySample(
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
