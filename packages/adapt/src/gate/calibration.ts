import { ConfigError } from '../errors.js'

/** Scores with a weight each: sample lists have counts of 1, histograms their non-empty bins. */
export interface WeightedScores {
  /** [n] */
  readonly scores: ArrayLike<number>
  /** [n], > 0. */
  readonly counts: ArrayLike<number>
}

/** Constants of the gate w = sigmoid((s - mu) / tau) and what they give on the scores they were solved for. */
export interface Calibration {
  readonly mu: number
  readonly tau: number
  /** Effective data ratio, the mean weight. */
  readonly edr: number
  /** Kish effective sample size / n. */
  readonly essRatio: number
  /** False when no temperature in range gives the target; the constants are then the last valid or the nearest ones. */
  readonly reached: boolean
}

/** Bins of a histogram of scores. */
export const NUM_SCORE_BINS = 4096
/** Counts are multiples of this: exact in float64, so a sum of them does not depend on its order. */
const COUNT_UNIT = 2 ** -20
const TAU_MIN = 1e-3
const TAU_MAX = 10
/** Of the mean weight when only mu is wanted. */
const EDR_TOLERANCE = 1e-6
/** Tighter inside solveTau, so that the error of mu does not blur the comparison of two temperatures. */
const INNER_EDR_TOLERANCE = 1e-9
const ESS_TOLERANCE = 1e-6
/** Of a bracket of ln tau in which the effective sample size is nearly a straight line. */
const SECANT_WIDTH = 2
/** Of ln tau to either side of the last solution. */
const NEAR = 0.2
/** Slack of the monotonicity check: rounding, and the steps of a histogram at temperatures near its bin width. */
const MONOTONE_SLACK = 1e-4
/** A decayed count below this tells nothing; 0 keeps the list of filled bins short. */
const NEGLIGIBLE_COUNT = 1e-9

/**
 * Histogram of scores over a fixed range. A step adds its counts, summed exactly over the ranks, at the
 * step boundary; so the state is the same for every split of the global batch.
 */
export class ScoreHistogram {
  readonly low: number
  readonly high: number
  #counts = new Float64Array(NUM_SCORE_BINS)

  /** @param options  Range of the scores; the default holds cosines. Scores outside count in the end bins. */
  constructor(options: { readonly low?: number; readonly high?: number } = {}) {
    this.low = options.low ?? -1
    this.high = options.high ?? 1
    if (!(this.low < this.high))
      throw new RangeError(`expected low < high, received ${this.low} and ${this.high}`)
  }

  /** float64 [4096], a copy. */
  get counts(): Float64Array {
    return this.#counts.slice()
  }

  /** Sum of the counts. */
  get total(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  /** Counts scores into this histogram's bins without adding them: sum the result over the ranks, then add. */
  countScores(scores: ArrayLike<number>): Float64Array {
    return countScores(scores, this)
  }

  /** counts <- decay x counts + added. */
  decayAndAdd(added: ArrayLike<number>, decay = 0.99): void {
    this.#requireBins(added)
    const counts = this.#counts
    for (let bin = 0; bin < NUM_SCORE_BINS; bin++) {
      const kept = counts[bin]! * decay
      counts[bin] = (kept < NEGLIGIBLE_COUNT ? 0 : kept) + added[bin]!
    }
  }

  /** Forgets everything: after an anchor refresh old scores mean something else. */
  replace(counts: ArrayLike<number>): void {
    this.#requireBins(counts)
    this.#counts = Float64Array.from(counts)
  }

  /** The midpoints and counts of the non-empty bins. */
  weightedScores(): WeightedScores {
    const width = (this.high - this.low) / NUM_SCORE_BINS
    const { low } = this
    const all = this.#counts
    const scores = new Float64Array(NUM_SCORE_BINS)
    const counts = new Float64Array(NUM_SCORE_BINS)
    let numFilled = 0
    for (let bin = 0; bin < NUM_SCORE_BINS; bin++) {
      if (all[bin] === 0) continue
      scores[numFilled] = low + (bin + 0.5) * width
      counts[numFilled++] = all[bin]!
    }
    return { scores: scores.subarray(0, numFilled), counts: counts.subarray(0, numFilled) }
  }

  #requireBins(counts: ArrayLike<number>): void {
    if (counts.length !== NUM_SCORE_BINS) {
      throw new RangeError(`expected ${NUM_SCORE_BINS} counts, received ${counts.length}`)
    }
  }
}

/**
 * Counts of scores over the midpoints of 4096 equal bins: a score is shared between the two midpoints that it lies between, the nearer one has
 * more of it, so the mean is kept, and a rounding of the score changes the counts by as little (in whole counts it could fall into the
 * next bin). Scores beyond the outer midpoints count there, NaN nowhere.
 *
 * @returns float64 [4096], multiples of 2^-20.
 */
export function countScores(
  scores: ArrayLike<number>,
  range: { readonly low: number; readonly high: number } = { low: -1, high: 1 },
): Float64Array {
  const counts = new Float64Array(NUM_SCORE_BINS)
  const scale = NUM_SCORE_BINS / (range.high - range.low)
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!
    if (Number.isNaN(score)) continue
    const place = Math.min(Math.max((score - range.low) * scale - 0.5, 0), NUM_SCORE_BINS - 1)
    const bin = Math.floor(place)
    const next = Math.round((place - bin) / COUNT_UNIT) * COUNT_UNIT
    counts[bin]! += 1 - next
    if (next > 0) counts[bin + 1]! += next
  }
  return counts
}

/** A plain list of scores, each counted once. */
export function unweightedScores(scores: ArrayLike<number>): WeightedScores {
  return { scores, counts: new Float64Array(scores.length).fill(1) }
}

/**
 * The threshold that makes the mean weight `edr` at a fixed temperature. The mean weight falls strictly with mu,
 * so there is exactly one. Newton steps inside a bisection bracket: a handful of passes over the scores.
 *
 * @throws {ConfigError} CALIBRATION_RANGE unless tau > 0 and 0 < edr < 1.
 * @throws {RangeError} without scores.
 */
export function solveMu(points: WeightedScores, tau: number, edr: number): Calibration {
  requireTargets(edr, null)
  if (!(tau > 0)) {
    throw new ConfigError('CALIBRATION_RANGE', `gate.tau: expected a number > 0, received ${tau}`, { tau })
  }
  return solveMuWithin(points, tau, edr, EDR_TOLERANCE)
}

/**
 * The temperature and threshold that make the mean weight `edr` and the effective sample size `ess` (a ratio).
 * On ln tau in [ln 1e-3, ln 10], by bisection and then by secants within the bracket; for a fixed mean weight the effective sample size
 * rises with tau.
 *
 * @param targets.previous  The constants in force, near which the search begins. They are kept when the target cannot be reached on these
 *   scores (all equal, say) or the rise with tau fails; without them the nearest temperature is returned.
 * @throws {ConfigError} ESS_INFEASIBLE when ess <= edr (w^2 <= w on [0, 1], so ess >= edr for any gate);
 *   CALIBRATION_RANGE when a target is outside (0, 1).
 * @throws {RangeError} without scores.
 */
export function solveTau(
  points: WeightedScores,
  targets: { readonly edr: number; readonly ess: number; readonly previous?: Calibration },
): Calibration {
  const { edr, ess, previous } = targets
  requireTargets(edr, ess)
  let mu = previous?.mu
  const at = (lnTau: number): Calibration => {
    const solved = solveMuWithin(points, Math.exp(lnTau), edr, INNER_EDR_TOLERANCE, mu)
    mu = solved.mu
    return solved
  }
  const notReached = (nearest: Calibration): Calibration => ({ ...(previous ?? nearest), reached: false })

  const [least, most] = [Math.log(TAU_MIN), Math.log(TAU_MAX)]
  // Scores change slowly: the solution is mostly near the last one.
  const near = previous?.reached ? Math.log(previous.tau) : undefined
  let low = near === undefined ? least : Math.max(least, near - NEAR)
  let high = near === undefined ? most : Math.min(most, near + NEAR)
  let sharp = at(low)
  let flat = at(high)
  if (low > least && sharp.essRatio > ess) {
    ;[high, flat] = [low, sharp]
    low = least
    sharp = at(low)
  } else if (high < most && flat.essRatio < ess) {
    ;[low, sharp] = [high, flat]
    high = most
    flat = at(high)
  }
  if (sharp.essRatio > ess + ESS_TOLERANCE) return notReached(sharp)
  if (flat.essRatio < ess - ESS_TOLERANCE) return notReached(flat)
  // What is left to the target at both ends, that of an end halved that stays while the other moves twice (Illinois).
  let [below, above] = [sharp.essRatio - ess, flat.essRatio - ess]
  let moved: 'low' | 'high' | undefined
  while (high - low > 1e-12) {
    const secant = low + ((high - low) * below) / (below - above)
    const isUseful = high - low < SECANT_WIDTH && secant > low && secant < high
    const place = isUseful ? secant : (low + high) / 2
    const solved = at(place)
    const distance = solved.essRatio - ess
    if (Math.abs(distance) < ESS_TOLERANCE) return solved
    if (
      solved.essRatio < sharp.essRatio - MONOTONE_SLACK ||
      solved.essRatio > flat.essRatio + MONOTONE_SLACK
    ) {
      return notReached(solved)
    }
    if (distance < 0) {
      low = place
      sharp = solved
      if (moved === 'low') above /= 2
      below = distance
      moved = 'low'
    } else {
      high = place
      flat = solved
      if (moved === 'high') below /= 2
      above = distance
      moved = 'high'
    }
  }
  return ess - sharp.essRatio < flat.essRatio - ess ? sharp : flat
}

/**
 * A temperature in units of the scores' own spread: scale x IQR / 1.349, which is scale x the standard deviation
 * for Gaussian scores.
 *
 * @returns At least 1e-3, the width of two bins of a histogram over [-1, 1].
 */
export function tauFromSpread(points: WeightedScores, scale: number): number {
  return Math.max(
    TAU_MIN,
    (scale * (weightedQuantile(points, 0.75) - weightedQuantile(points, 0.25))) / 1.349,
  )
}

function requireTargets(edr: number, ess: number | null): void {
  for (const [name, value] of [['edr', edr] as const, ['ess', ess ?? 0.5] as const]) {
    if (value > 0 && value < 1) continue
    const message = `gate.${name}: expected a number between 0 and 1, received ${value}`
    throw new ConfigError('CALIBRATION_RANGE', message, { [name]: value })
  }
  if (ess !== null && ess <= edr) {
    const message =
      `gate.ess: expected more than gate.edr (${edr}), received ${ess}; weights between 0 and 1 cannot have an ` +
      'effective sample size below their mean: raise ess or lower edr'
    throw new ConfigError('ESS_INFEASIBLE', message, { edr, ess })
  }
}

function solveMuWithin(
  points: WeightedScores,
  tau: number,
  edr: number,
  tolerance: number,
  guess?: number,
): Calibration {
  const { scores, counts } = points
  if (scores.length === 0) throw new RangeError('cannot calibrate a gate without scores')
  let smallest = Number.POSITIVE_INFINITY
  let largest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) {
    smallest = Math.min(smallest, scores[i]!)
    largest = Math.max(largest, scores[i]!)
  }
  let low = smallest - 40 * tau
  let high = largest + 40 * tau
  let mu = guess !== undefined && guess > low && guess < high ? guess : (low + high) / 2
  for (;;) {
    let total = 0
    let sum = 0
    let sumSquares = 0
    for (let i = 0; i < scores.length; i++) {
      const count = counts[i]!
      const weight = 1 / (1 + Math.exp((mu - scores[i]!) / tau))
      total += count
      sum += count * weight
      sumSquares += count * weight * weight
    }
    const mean = sum / total
    const done = Math.abs(mean - edr) < tolerance || high - low <= Number.EPSILON * Math.max(1, Math.abs(mu))
    if (done) return { mu, tau, edr: mean, essRatio: (sum * sum) / (total * sumSquares), reached: true }
    if (mean > edr) low = mu
    else high = mu
    // d mean / d mu = -(mean of w (1 - w)) / tau
    const newton = mu + ((mean - edr) * tau * total) / (sum - sumSquares)
    mu = newton > low && newton < high ? newton : (low + high) / 2
  }
}

function weightedQuantile({ scores, counts }: WeightedScores, fraction: number): number {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!)
  let total = 0
  for (let i = 0; i < counts.length; i++) total += counts[i]!
  let reachedCount = 0
  for (const i of order) {
    reachedCount += counts[i]!
    if (reachedCount >= fraction * total) return scores[i]!
  }
  throw new RangeError('cannot calibrate a gate without scores')
}
