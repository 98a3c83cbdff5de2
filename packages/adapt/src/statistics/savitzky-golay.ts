/** T values in order. */

/**
 * Smooths by a polynomial through the `window` values around each place, taken at that place; at both ends the polynomial of the first and of
 * the last window.
 *
 * @param window  Odd, larger than `order`.
 * @returns float64 [T]; as they are where there are fewer than `window`.
 * @see Savitzky and Golay, Analytical Chemistry 36 (1964).
 */
export function smoothSavitzkyGolay(values: ArrayLike<number>, window: number, order: number): Float64Array {
  if (window % 2 !== 1 || window <= order) {
    throw new RangeError(`window: expected an odd number above ${order}, received ${window}`)
  }
  const { length } = values
  if (length < window) return Float64Array.from(values)
  const half = (window - 1) / 2
  const weights = Array.from({ length: window }, (_, place) => smoothingWeights(half, order, place - half))
  return Float64Array.from({ length }, (_, i) => {
    const start = Math.min(Math.max(i - half, 0), length - window)
    const own = weights[i - start]!
    let sum = 0
    for (let j = 0; j < window; j++) sum += own[j]! * values[start + j]!
    return sum
  })
}

/**
 * Weights of the values at -half..half whose sum is the value at `place` of the polynomial of least squares: by polynomials that are orthogonal
 * there, p_{k+1} = x p_k - b_k p_{k-1}.
 */
function smoothingWeights(half: number, order: number, place: number): Float64Array {
  const points = Array.from({ length: 2 * half + 1 }, (_, j) => j - half)
  const weights = new Float64Array(points.length)
  let [before, own] = [points.map(() => 0), points.map(() => 1)]
  let squaresBefore = 1
  for (let k = 0; k <= order; k++) {
    const squares = own.reduce((sum, p) => sum + p * p, 0)
    for (const [j, p] of own.entries()) weights[j]! += (p * own[place + half]!) / squares
    const factor = k === 0 ? 0 : squares / squaresBefore
    const next = points.map((x, j) => x * own[j]! - factor * before[j]!)
    ;[before, own] = [own, next]
    squaresBefore = squares
  }
  return weights
}
