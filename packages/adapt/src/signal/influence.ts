/** C checkpoints, P samples, K tasks. */

/** eta_c: learning rates as shares of their sum; equal shares where all are 0. */
export function rateShares(learningRates: readonly number[]): number[] {
  const total = learningRates.reduce((sum, rate) => sum + rate, 0)
  return learningRates.map((rate) => (total > 0 ? rate / total : 1 / learningRates.length))
}

/**
 * s(z) = max over tasks j of sum over checkpoints c of eta_c mean over v in j of <u_c(z), u_c(v)>
 *
 * The mean inside a task comes first: the other order ranks differently.
 *
 * @param alignment  By checkpoint [P * K]: mean cosine to the anchors of each task. NaN for a sample without a gradient: its score is -infinity.
 * @returns [P]
 * @see Xia et al., LESS, arXiv 2402.04333, equations 2 and 5.
 */
export function influenceScores(
  alignment: readonly ArrayLike<number>[],
  learningRates: readonly number[],
  numTasks: number,
): Float32Array {
  const share_C = rateShares(learningRates)
  const numSamples = alignment[0]!.length / numTasks
  return Float32Array.from({ length: numSamples }, (_, p) => {
    let best = Number.NEGATIVE_INFINITY
    for (let k = 0; k < numTasks; k++) {
      const influence = share_C.reduce((sum, share, c) => sum + share * alignment[c]![p * numTasks + k]!, 0)
      if (influence > best) best = influence
    }
    return best
  })
}
