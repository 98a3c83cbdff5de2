import { incompleteBeta, logGamma, normalCdf, solveGrowing } from './special-functions.js'

/** P(T <= t) of Student's t with `df` > 0 degrees of freedom. */
export function studentTCdf(t: number, df: number): number {
  const tail = 0.5 * incompleteBeta(df / (df + t * t), df / 2, 0.5)
  return t < 0 ? tail : 1 - tail
}

/**
 * The t with P(T <= t) = p, 0 < p < 1. Student's t with df degrees of freedom.
 * @example studentTQuantile(0.975, 2) // 4.302652729911275: 95 % interval of three differences
 */
export function studentTQuantile(p: number, df: number): number {
  if (p === 0.5) return 0
  if (p < 0.5) return -studentTQuantile(1 - p, df)
  let high = 1
  while (studentTCdf(high, df) < p) high *= 2
  // Solved for the small tail, where the digits are.
  return solveGrowing((t) => -0.5 * incompleteBeta(df / (df + t * t), df / 2, 0.5), p - 1, { low: 0, high })
}

/**
 * P(T <= t) of the noncentral t: (Z + shift) / sqrt(chi2_df / df). By the series of Lenth (1989), whose terms are
 * weighted incomplete beta functions.
 */
export function noncentralTCdf(t: number, df: number, shift: number): number {
  if (t < 0) return 1 - noncentralTCdf(-t, df, -shift)
  const x = (t * t) / (df + t * t)
  const half = (shift * shift) / 2
  if (half === 0) return studentTCdf(t, df)
  let sum = 0
  // All terms count whose Poisson weight is not negligible: they lie around j = half.
  const last = Math.ceil(half + 12 * Math.sqrt(half + 1) + 30)
  for (let j = 0; j <= last; j++) {
    const p = Math.exp(-half + j * Math.log(half) - logGamma(j + 1))
    const q =
      Math.sign(shift) *
      Math.SQRT1_2 *
      Math.abs(shift) *
      Math.exp(-half + j * Math.log(half) - logGamma(j + 1.5))
    sum += p * incompleteBeta(x, j + 0.5, df / 2) + q * incompleteBeta(x, j + 1, df / 2)
  }
  return Math.min(1, Math.max(0, normalCdf(-shift) + sum / 2))
}

/**
 * The difference, in standard deviations of the paired differences, that a two-sided t test of n pairs finds
 * with this power. 3.26 for three pairs, 1.68 for five, 1.16 for eight.
 */
export function detectableEffect(n: number, { alpha = 0.05, power = 0.8 } = {}): number {
  if (n < 2) return Number.POSITIVE_INFINITY
  const df = n - 1
  const critical = studentTQuantile(1 - alpha / 2, df)
  const powerOf = (effect: number) => {
    const shift = effect * Math.sqrt(n)
    return 1 - noncentralTCdf(critical, df, shift) + noncentralTCdf(-critical, df, shift)
  }
  let high = 1
  while (powerOf(high) < power) high *= 2
  return solveGrowing(powerOf, power, { low: 0, high })
}
