/**
 * Coefficients of the least squares of y on the rows, without an intercept, from the normal equations.
 *
 * @param rows  [n] of [F]. @param targets  [n].
 * @returns [F]; undefined when the rows do not determine them.
 */
export function leastSquares(
  rows: readonly ArrayLike<number>[],
  targets: ArrayLike<number>,
): Float64Array | undefined {
  const size = rows[0]?.length ?? 0
  const dot = (f: number, of: (i: number, row: ArrayLike<number>) => number) =>
    rows.reduce((sum, row, i) => sum + row[f]! * of(i, row), 0)
  const system = Array.from({ length: size }, (_, f) => [
    ...Array.from({ length: size }, (_, g) => dot(f, (_i, row) => row[g]!)),
    dot(f, (i) => targets[i]!),
  ])
  return solve(system)
}

/** Pivots below this share of the largest entry say that the system has no single solution. */
const SINGULAR = 1e-11

/**
 * Gaussian elimination with row pivots.
 * @param system  [F] rows of F coefficients and the right side; changed in place.
 */
function solve(system: number[][]): Float64Array | undefined {
  const size = system.length
  const scale = Math.max(...system.flatMap((row) => row.slice(0, size).map(Math.abs)))
  for (let k = 0; k < size; k++) {
    let pivot = k
    for (let i = k + 1; i < size; i++) if (Math.abs(system[i]![k]!) > Math.abs(system[pivot]![k]!)) pivot = i
    const row = system[pivot]!
    if (!(Math.abs(row[k]!) > SINGULAR * scale)) return undefined
    system[pivot] = system[k]!
    system[k] = row
    for (const other of system.slice(k + 1)) {
      const factor = other[k]! / row[k]!
      for (let j = k; j <= size; j++) other[j]! -= factor * row[j]!
    }
  }
  const solution = new Float64Array(size)
  for (let k = size - 1; k >= 0; k--) {
    const row = system[k]!
    let rest = row[size]!
    for (let j = k + 1; j < size; j++) rest -= row[j]! * solution[j]!
    solution[k] = rest / row[k]!
  }
  return solution
}
