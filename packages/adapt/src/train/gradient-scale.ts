/** S samples of a micro-batch. */
import {
  add_,
  clamp,
  copy_,
  eq,
  indexSelect,
  maskedFill,
  mul,
  noGrad,
  pow,
  scope,
  sum,
  type Tensor,
  tensor,
  toDType,
  where,
  zeros,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { denominator, type LabelledPositions, type Normalizer, tokenFactor } from '../loss/index.js'
import type { Weights } from '../method/index.js'

/** How far the common factor may lift weights above what the static ones alone would make. */
const MAX_LIFT = 2 ** 64

/**
 * Keeps a rank's sum of weighted gradients within float32 while Z is not known. Under a self-normalised loss only the
 * ratios of the weights count, and a cold gate can make all of them 1e-35: the first micro-batch with any weight sets one factor
 *
 *   s = min(1 / sum_i c_i n_i, 2^64 / sum_i v_i f_i n_i)     c_i = w_i v_i f_i, v_i static weight, f_i = 1/n_i or 1
 *
 * for the whole step, which {@link toLoss} takes out again together with Z. All of it happens on the device, in float64.
 */
export class GradientScale {
  private readonly normalizer: Normalizer
  private readonly ceiling: number
  /** s; 0 until a micro-batch has weight. float64 scalar, as is Z of the micro-batches so far. */
  private readonly scale: Tensor
  private readonly z: Tensor

  private readonly isFixed: boolean

  /**
   * Its tensors belong to the current scope.
   * @param batches  All micro-batches of this rank's step.
   * @param fixed  Z of all ranks, in the place of the normaliser's; the normaliser is then one by a count.
   */
  constructor(normalizer: Normalizer, batches: readonly Batch[], device: Tensor['device'], fixed?: number) {
    this.normalizer = normalizer
    this.isFixed = fixed !== undefined
    const samples = batches.flatMap((batch) => batch.samples)
    const mass = samples.reduce(
      (total, { weight, numLabels }) => total + weight * tokenFactor(normalizer, numLabels) * numLabels,
      0,
    )
    this.ceiling = MAX_LIFT / mass
    const count = fixed ?? (normalizer.endsWith('wmean') ? 0 : denominator(normalizer, samples))
    this.scale = zeros([], { dtype: 'float64', device })
    this.z = tensor(Float64Array.of(count), [], { dtype: 'float64', device })
  }

  /**
   * s c_i of a micro-batch: what each token loss is multiplied by, the weights of tokens each for itself. float32 [N]; nothing of a sample
   * without labels counts.
   */
  lossWeights({ samples }: Batch, { weight_S, weight_N }: Weights, { sample_N }: LabelledPositions): Tensor {
    return noGrad(() =>
      scope(() => {
        const { scale, z } = this
        const onDevice = (values: readonly number[]) =>
          tensor(Float64Array.from(values), [values.length], { dtype: 'float64', device: weight_S.device })
        const labels_S = onDevice(samples.map(({ numLabels }) => numLabels))
        const factor_S = onDevice(
          samples.map(({ weight, numLabels }) => weight * tokenFactor(this.normalizer, numLabels)),
        )
        // Whatever a gate says of a sample without labels, it takes no part.
        const factored_S = mul(toDType(weight_S, 'float64'), factor_S)
        const lossWeight_S = maskedFill(factored_S, eq(labels_S, 0), 0)
        const mass = sum(mul(lossWeight_S, labels_S))
        if (this.normalizer.endsWith('wmean')) add_(z, mass)
        const chosen = where(eq(mass, 0), mass, clamp(pow(mass, -1), null, this.ceiling))
        copy_(scale, where(eq(scale, 0), chosen, scale))
        if (weight_N === undefined)
          return indexSelect(toDType(mul(lossWeight_S, scale), 'float32'), 0, sample_N)
        const factor_N = indexSelect(mul(factor_S, scale), 0, sample_N)
        return toDType(mul(toDType(weight_N, 'float64'), factor_N), 'float32')
      }),
    )
  }

  /**
   * What this rank's summed gradients are multiplied by to be its part of the gradient of the loss: 1 / (s Z), 0 without weight.
   * float32 scalar, in the current scope.
   *
   * @param sumOverRanks  Replaces the tensor by its sum over ranks.
   */
  toLoss(sumOverRanks: (z: Tensor) => void): Tensor {
    return noGrad(() =>
      scope(() => {
        if (!this.isFixed) sumOverRanks(this.z)
        const divisor = mul(this.z, this.scale)
        return toDType(where(eq(divisor, 0), divisor, pow(divisor, -1)), 'float32')
      }),
    )
  }
}
