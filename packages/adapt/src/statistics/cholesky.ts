/**
 * The factor L of a symmetric positive definite matrix, A = L L^T.
 * @param matrix  float64 [n, n], row by row; the lower triangle is read.
 * @returns float64 [n, n], zeros above the diagonal; undefined where A is not positive definite.
 */
export function cholesky(matrix: ArrayLike<number>, n: number): Float64Array | undefined {
  const L = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!
      for (let k = 0; k < j; k++) sum -= L[i * n + k]! * L[j * n + k]!
      if (i !== j) {
        L[i * n + j] = sum / L[j * n + j]!
        continue
      }
      if (!(sum > 0)) return undefined
      L[i * n + i] = Math.sqrt(sum)
    }
  }
  return L
}

/** x of L L^T x = b, float64 [n]. */
export function choleskySolve(L: Float64Array, b: ArrayLike<number>): Float64Array {
  const n = b.length
  const x = Float64Array.from(b)
  for (let i = 0; i < n; i++) {
    let sum = x[i]!
    for (let k = 0; k < i; k++) sum -= L[i * n + k]! * x[k]!
    x[i] = sum / L[i * n + i]!
  }
  for (let i = n - 1; i >= 0; i--) {
    let sum = x[i]!
    for (let k = i + 1; k < n; k++) sum -= L[k * n + i]! * x[k]!
    x[i] = sum / L[i * n + i]!
  }
  return x
}
