/**
 * Ranks from 1, equal values sharing the mean of their ranks.
 * @returns float64 [n].
 */
export function midRanks(values: ArrayLike<number>): Float64Array {
  const order = Float64Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => values[a]! - values[b]!,
  )
  const ranks = new Float64Array(values.length)
  for (let start = 0; start < order.length; ) {
    let end = start + 1
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + 1 + end) / 2
    start = end
  }
  return ranks
}

/**
 * Pearson's correlation of the ranks, in [-1, 1]; NaN when either list is constant or has fewer than two values.
 * @throws {RangeError} for lists of different lengths.
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`spearman: ${a.length} values against ${b.length}`)
  const ranksA = midRanks(a)
  const ranksB = midRanks(b)
  const middle = (a.length + 1) / 2
  let product = 0
  let squareA = 0
  let squareB = 0
  for (let i = 0; i < ranksA.length; i++) {
    const x = ranksA[i]! - middle
    const y = ranksB[i]! - middle
    product += x * y
    squareA += x * x
    squareB += y * y
  }
  return product / Math.sqrt(squareA * squareB)
}

/**
 * Chance that a random positive is above a random negative, ties counting half (area under the ROC curve):
 * 0.5 = the score tells nothing. NaN without values on either side.
 */
export function separationAuc(positives: ArrayLike<number>, negatives: ArrayLike<number>): number {
  const numPositives = positives.length
  const all = new Float64Array(numPositives + negatives.length)
  all.set(Float64Array.from(positives))
  all.set(Float64Array.from(negatives), numPositives)
  const ranks = midRanks(all)
  let sum = 0
  for (let i = 0; i < numPositives; i++) sum += ranks[i]!
  return (sum - (numPositives * (numPositives + 1)) / 2) / (numPositives * negatives.length)
}
