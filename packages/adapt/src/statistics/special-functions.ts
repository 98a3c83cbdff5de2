const LANCZOS_G = 7
// Lanczos coefficients for g = 7, n = 9; relative error below 1e-15 for x >= 0.5.
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** ln Gamma(x), x > 0. */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const shifted = x - 1
  const sum = LANCZOS.slice(1).reduce((total, c, i) => total + c / (shifted + i + 1), LANCZOS[0]!)
  const t = shifted + LANCZOS_G + 0.5
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(t) - t + Math.log(sum)
}

const MAX_TERMS = 10_000
const EPSILON = 1e-16
const TINY = 1e-300

/** Regularised incomplete beta function I_x(a, b), a, b > 0, by its continued fraction (modified Lentz). */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast on this side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const logFront = logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)
  const away = (value: number) => (Math.abs(value) < TINY ? TINY : value)
  let c = 1
  let d = 1 / away(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m <= MAX_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / away(1 + even * d)
    c = away(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / away(1 + odd * d)
    c = away(1 + odd / c)
    const factor = d * c
    fraction *= factor
    if (Math.abs(factor - 1) < EPSILON) break
  }
  return (Math.exp(logFront) * fraction) / a
}

/** P(Z <= z) of a standard normal number. */
export function normalCdf(z: number): number {
  const half = 0.5 * upperGammaHalf(0.5 * z * z)
  return z < 0 ? half : 1 - half
}

/** Q(1/2, x) = erfc(sqrt x), x >= 0: a series for small x, a continued fraction for large. */
function upperGammaHalf(x: number): number {
  if (x === 0) return 1
  const front = Math.exp(-x + 0.5 * Math.log(x) - logGamma(0.5))
  if (x < 1.5) {
    let term = 2
    let sum = term
    for (let n = 1; n <= MAX_TERMS && term > EPSILON * sum; n++) {
      term *= x / (0.5 + n)
      sum += term
    }
    return 1 - front * sum
  }
  let b = x + 0.5
  let c = 1 / TINY
  let d = 1 / b
  let fraction = d
  for (let n = 1; n <= MAX_TERMS; n++) {
    const a = -n * (n - 0.5)
    b += 2
    d = 1 / (a * d + b)
    c = b + a / c
    const factor = d * c
    fraction *= factor
    if (Math.abs(factor - 1) < EPSILON) break
  }
  return front * fraction
}

/** The x in [low, high] with f(x) = target, for a growing f. */
export function solveGrowing(
  f: (x: number) => number,
  target: number,
  { low, high }: { readonly low: number; readonly high: number },
): number {
  let a = low
  let b = high
  for (let n = 0; n < 200 && b - a > 1e-15 * Math.max(1, Math.abs(a) + Math.abs(b)); n++) {
    const middle = (a + b) / 2
    if (f(middle) < target) a = middle
    else b = middle
  }
  return (a + b) / 2
}
