/**
 * A random point of the simplex, p ~ Dirichlet(alpha): gamma variates over their sum. Drawn as logarithms, so that no alpha is too small.
 *
 * @param alpha  [G], > 0. @param uniform  Independent numbers in (0, 1).
 * @returns [G], sums to 1.
 */
export function drawDirichlet(alpha: ArrayLike<number>, uniform: () => number): Float64Array {
  const logs = Float64Array.from(alpha, (a) => logGamma(a, uniform))
  const largest = logs.reduce((a, b) => Math.max(a, b), -Infinity)
  const raised = logs.map((log) => Math.exp(log - largest))
  const total = raised.reduce((a, b) => a + b, 0)
  return raised.map((value) => value / total)
}

/**
 * Logarithm of a gamma variate of shape a and scale 1. Below 1: that of a + 1 times U^(1/a).
 * @see Marsaglia and Tsang, A simple method for generating gamma variables, ACM TOMS 26 (2000).
 */
function logGamma(shape: number, uniform: () => number): number {
  if (shape < 1) return logGamma(shape + 1, uniform) + Math.log(uniform()) / shape
  const d = shape - 1 / 3
  for (;;) {
    const x = normal(uniform)
    const v = (1 + x / Math.sqrt(9 * d)) ** 3
    if (v > 0 && Math.log(uniform()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return Math.log(d * v)
  }
}

/** A standard normal number, by Box and Muller's transform. */
function normal(uniform: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(uniform()))
  return radius * Math.cos(2 * Math.PI * uniform())
}
