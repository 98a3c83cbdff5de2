/** N labelled positions, S samples of a micro-batch. */
import { bind, clamp, div, noGrad, scope, type Tensor, tensor, toDType, zeros } from '@adapt-ts/torch'

const segmentReduce = bind('aten::segment_reduce')

/**
 * Mean of each sample over its labelled positions, 0 without any: float64 sums in the order of the positions, on the device. The host need not
 * wait, and no sum depends on what else is in the micro-batch.
 *
 * @param values_N  float32 [N], sample after sample.
 * @param samples  Their numbers of labels, which sum up to N.
 * @returns float32 [S], detached; belongs to the current scope.
 */
export function sampleMeans(values_N: Tensor, samples: readonly { readonly numLabels: number }[]): Tensor {
  const { device } = values_N
  if (values_N.numel === 0) return zeros([samples.length], { device })
  return noGrad(() =>
    scope(() => {
      const lengths = tensor(
        Int32Array.from(samples, ({ numLabels }) => numLabels),
        [samples.length],
        { dtype: 'int64', device },
      )
      // Unsafe: the lengths are not looked at, which would wait for the device.
      const options = { lengths, unsafe: true, initial: 0 }
      const sum_S = segmentReduce(toDType(values_N, 'float64'), 'sum', options) as Tensor
      return toDType(div(sum_S, clamp(lengths, 1, null)), 'float32')
    }),
  )
}
