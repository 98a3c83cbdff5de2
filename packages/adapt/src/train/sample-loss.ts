/** S samples. */
import { type DType, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedTokenLosses, type LabelledPositions } from '../loss/index.js'
import type { CausalLM } from '../model/index.js'

/** Mean over each sample's labels of its token losses (0 without labels): [N] -> [S], float64 sums. */
export function meanBySample(
  loss_N: ArrayLike<number>,
  sampleOf: ArrayLike<number>,
  numSamples: number,
): Float64Array {
  const sums = new Float64Array(numSamples)
  const counts = new Int32Array(numSamples)
  for (let n = 0; n < loss_N.length; n++) {
    sums[sampleOf[n]!]! += loss_N[n]!
    counts[sampleOf[n]!]! += 1
  }
  return sums.map((sum, i) => (counts[i]! > 0 ? sum / counts[i]! : 0))
}

/** Sample losses before the weighted loss, for signals made of losses: float32 [S], nats per label. */
export function meanLossPerSample(
  model: CausalLM,
  hidden_BTD: Tensor,
  labelled: LabelledPositions,
  batch: Batch,
  { autocastDtype }: { readonly autocastDtype?: DType | undefined },
): Tensor {
  const numSamples = batch.samples.length
  if (labelled.count === 0) return tensor(new Float32Array(numSamples), [numSamples])
  const loss_N = chunkedTokenLosses(labelled.select(hidden_BTD), model.headWeight, labelled.labels_N, {
    computeDtype: autocastDtype,
  })
  const means = meanBySample(loss_N.toFloat32Array(), labelled.sampleOf, numSamples)
  return tensor(Float32Array.from(means), [numSamples], { device: model.device })
}
