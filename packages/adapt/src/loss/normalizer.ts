/** Denominators of the weighted loss. */
export const NORMALIZERS = ['sample.mean', 'sample.wmean', 'token.mean', 'token.wmean'] as const
/** Name of a denominator. */
export type Normalizer = (typeof NORMALIZERS)[number]

/** What the denominator needs of a sample. */
export interface WeightedSample {
  /** The gate's weight times the static weight, >= 0. */
  readonly weight: number
  readonly numLabels: number
}

/** What a token loss of the sample is multiplied by, besides w_i. */
export function tokenFactor(normalizer: Normalizer, numLabels: number): number {
  if (numLabels === 0) return 0
  return normalizer.startsWith('sample') ? 1 / numLabels : 1
}

/**
 * The weighted loss L = (1/Z) sum_i w_i l_i of one optimiser step, over all ranks and micro-batches (i samples,
 * n_i labels, ce_it token losses in nats). The numerator weights tokens; Z comes later, once, as a constant.
 *
 *   sample.mean   sum_i w_i (1/n_i) sum_t ce_it   /  number of samples with labels
 *   sample.wmean  the same                        /  sum_i w_i
 *   token.mean    sum_i w_i sum_t ce_it           /  sum_i n_i
 *   token.wmean   the same                        /  sum_i w_i n_i
 *
 * Returns Z of a set of samples; samples without labels do not count. Add the parts of all ranks and micro-batches.
 */
export function denominator(normalizer: Normalizer, samples: readonly WeightedSample[]): number {
  let total = 0
  for (const { weight, numLabels } of samples) {
    if (numLabels === 0) continue
    switch (normalizer) {
      case 'sample.mean':
        total += 1
        break
      case 'sample.wmean':
        total += weight
        break
      case 'token.mean':
        total += numLabels
        break
      case 'token.wmean':
        total += weight * numLabels
        break
    }
  }
  return total
}
