/** exp(s_i / T) / sum_j exp(s_j / T), in float64 on the host. */
export function softmaxShares(scores: ArrayLike<number>, temperature: number): Float64Array {
  let largest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) largest = Math.max(largest, scores[i]!)
  const shares = Float64Array.from(scores, (score) => Math.exp((score - largest) / temperature))
  const total = shares.reduce((sum, share) => sum + share, 0)
  return shares.map((share) => share / total)
}
