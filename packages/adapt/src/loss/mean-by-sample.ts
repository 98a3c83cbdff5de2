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
