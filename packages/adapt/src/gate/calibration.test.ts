import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import {
  type Calibration,
  countScores,
  NUM_SCORE_BINS,
  ScoreHistogram,
  solveMu,
  solveTau,
  tauFromSpread,
  unweightedScores,
} from './calibration.js'

const EXAMPLE = [0.62, 0.64, 0.65, 0.66, 0.68, 0.7, 0.71, 0.75]

/** The gate on plain samples, summed apart from the solver. */
function measure(scores: readonly number[], { mu, tau }: Calibration): { edr: number; ess: number } {
  const weights = scores.map((score) => 1 / (1 + Math.exp(-(score - mu) / tau)))
  const sum = weights.reduce((a, b) => a + b, 0)
  const squares = weights.reduce((a, b) => a + b * b, 0)
  return { edr: sum / scores.length, ess: (sum * sum) / (scores.length * squares) }
}

/** Scores of one optimiser step: low-discrepancy draws from a bump of the given place and width. */
function stepScores(step: number, centre: number, width: number): number[] {
  return Array.from({ length: 256 }, (_, i) => {
    const uniform = ((step * 256 + i) * 0.6180339887498949) % 1
    // Inverse of the logistic distribution function, kept within 4 widths.
    return (
      centre + width * Math.max(-4, Math.min(4, 0.55 * Math.log((uniform + 1e-9) / (1 - uniform + 1e-9))))
    )
  })
}

describe('solveMu', () => {
  const points = unweightedScores(EXAMPLE)

  it('gives the worked thresholds, weights and effective sample sizes', () => {
    const half = solveMu(points, 0.02, 0.5)
    expect(half.mu).toBeCloseTo(0.673603, 5)
    expect(half.essRatio).toBeCloseTo(0.700897, 5)
    const expected = [0.064154, 0.157074, 0.235023, 0.336225, 0.579284, 0.789154, 0.860546, 0.978539]
    EXAMPLE.forEach((score, i) => {
      expect(1 / (1 + Math.exp(-(score - half.mu) / half.tau))).toBeCloseTo(expected[i]!, 4)
    })
    const strict = solveMu(points, 0.02, 0.3)
    expect(strict.mu).toBeCloseTo(0.703615, 5)
    expect(strict.essRatio).toBeCloseTo(0.499061, 5)
    const soft = solveMu(points, 0.05, 0.5)
    expect(soft.mu).toBeCloseTo(0.675512, 5)
    expect(soft.essRatio).toBeCloseTo(0.886335, 5)
  })

  it('reaches extreme ratios at extreme temperatures', () => {
    for (const tau of [1e-3, 0.05, 10]) {
      for (const edr of [1e-3, 0.5, 0.999]) {
        expect(measure(EXAMPLE, solveMu(points, tau, edr)).edr).toBeCloseTo(edr, 5)
      }
    }
  })

  it('treats a count of three like three equal scores', () => {
    const listed = solveMu(unweightedScores([0.1, 0.1, 0.1, 0.4]), 0.1, 0.4)
    const counted = solveMu({ scores: [0.1, 0.4], counts: [3, 1] }, 0.1, 0.4)
    expect(counted.mu).toBeCloseTo(listed.mu, 9)
  })

  it('refuses ratios outside (0, 1), temperatures that are not positive, and no scores', () => {
    expect(() => solveMu(points, 0.1, 1)).toThrow(ConfigError)
    expect(() => solveMu(points, 0.1, Number.NaN)).toThrow(ConfigError)
    expect(() => solveMu(points, 0, 0.5)).toThrow(ConfigError)
    expect(() => solveMu(unweightedScores([]), 0.1, 0.5)).toThrow(RangeError)
  })
})

describe('solveTau', () => {
  it('gives the worked temperature for a mean weight of 0.5 and an effective sample size of 0.8', () => {
    const solved = solveTau(unweightedScores(EXAMPLE), { edr: 0.5, ess: 0.8 })
    expect(solved.tau).toBeCloseTo(0.03194, 5)
    expect(solved.mu).toBeCloseTo(0.674748, 5)
    expect(solved.reached).toBe(true)
  })

  it('refuses an effective sample size at or below the mean weight', () => {
    for (const ess of [0.5, 0.3]) {
      const attempt = (): unknown => solveTau(unweightedScores(EXAMPLE), { edr: 0.5, ess })
      expect(attempt).toThrow(expect.objectContaining({ code: 'ESS_INFEASIBLE', exitCode: 2 }))
    }
    const attempt = (): unknown => solveTau(unweightedScores(EXAMPLE), { edr: 0.5, ess: 1 })
    expect(attempt).toThrow(expect.objectContaining({ code: 'CALIBRATION_RANGE' }))
  })

  it('keeps the constants in force when the scores cannot give the target, and says so', () => {
    const previous = solveTau(unweightedScores(EXAMPLE), { edr: 0.5, ess: 0.8 })
    const equalScores = unweightedScores([0.3, 0.3, 0.3])
    expect(solveTau(equalScores, { edr: 0.5, ess: 0.8, previous })).toEqual({ ...previous, reached: false })
    const alone = solveTau(equalScores, { edr: 0.5, ess: 0.8 })
    expect(alone.reached).toBe(false)
    expect(alone.mu).toBeCloseTo(0.3, 6)
  })

  it('reaches every feasible pair of targets on a wide bump', () => {
    const scores = Array.from({ length: 16 }, (_, step) => stepScores(step, 0.1, 0.2)).flat()
    for (const edr of [0.1, 0.3, 0.5, 0.7]) {
      for (const ess of [0.8, 0.95]) {
        const reached = measure(scores, solveTau(unweightedScores(scores), { edr, ess }))
        expect(reached.edr).toBeCloseTo(edr, 5)
        expect(reached.ess).toBeCloseTo(ess, 5)
      }
    }
  })
})

describe('ScoreHistogram', () => {
  it('shares a score between the midpoints of two bins, at the ends counts what is beyond, and NaN nowhere', () => {
    const width = 2 / NUM_SCORE_BINS
    const midpoint = (bin: number) => -1 + (bin + 0.5) * width
    const counts = countScores([-1, -1.00001, 1, 1.5, midpoint(7), midpoint(2048) + width / 4, Number.NaN])
    expect(counts.length).toBe(NUM_SCORE_BINS)
    expect([counts[0], counts[4095], counts[7], counts[2048], counts[2049]]).toEqual([2, 2, 1, 0.75, 0.25])
    expect(counts.reduce((a, b) => a + b, 0)).toBe(6)
  })

  it('keeps the mean, and hardly sees a score rounded across the edge of a bin', () => {
    const edge = -1 + 100 * (2 / NUM_SCORE_BINS)
    const scores = [edge, 0.3, 0.31001]
    const moved = [edge - 1e-9, ...scores.slice(1)]
    const pointsOf = (of: number[]) => {
      const histogram = new ScoreHistogram()
      histogram.replace(histogram.countScores(of))
      return histogram.weightedScores()
    }
    const meanOf = ({ scores, counts }: ReturnType<typeof pointsOf>) =>
      Array.from(scores).reduce((sum, score, i) => sum + score * counts[i]!, 0) / 3
    expect(meanOf(pointsOf(scores))).toBeCloseTo((edge + 0.61001) / 3, 8)
    const solve = (of: number[]) => solveTau(pointsOf(of), { edr: 0.4, ess: 0.8 })
    expect(solve(moved).tau / solve(scores).tau).toBeCloseTo(1, 5)
  })

  it('has the same state for any split of a step, and decays what it had', () => {
    const scores = stepScores(0, 0.2, 0.1)
    const whole = new ScoreHistogram()
    const split = new ScoreHistogram()
    for (let step = 0; step < 3; step++) {
      whole.decayAndAdd(whole.countScores(scores))
      const parts = [scores.slice(0, 7), scores.slice(7)].map((part) => split.countScores(part))
      split.decayAndAdd(parts[0]!.map((count, bin) => count + parts[1]![bin]!))
    }
    expect(split.counts).toEqual(whole.counts)
    expect(whole.total).toBeCloseTo(256 * (1 + 0.99 + 0.99 ** 2), 6)
  })

  it('has another range when asked, and bin midpoints within half a bin of the scores', () => {
    const histogram = new ScoreHistogram({ low: -8, high: 8 })
    histogram.replace(histogram.countScores([-7.9, 3.3]))
    const { scores, counts } = histogram.weightedScores()
    expect(counts.length).toBe(4)
    expect(scores[0]! * counts[0]! + scores[1]! * counts[1]!).toBeCloseTo(-7.9, 6)
    expect(scores[2]! * counts[2]! + scores[3]! * counts[3]!).toBeCloseTo(3.3, 6)
    expect(() => histogram.decayAndAdd([1, 2])).toThrow(RangeError)
  })

  it('does not hand out its own memory', () => {
    const counts = countScores([0.1])
    const histogram = new ScoreHistogram()
    histogram.replace(counts)
    counts.fill(9)
    histogram.counts.fill(9)
    expect(histogram.total).toBe(1)
  })

  it('leads the gate to both targets within 1e-3 on a stream that shifts once, by decay or at once by replacement', () => {
    const targets = { edr: 0.5, ess: 0.8 }
    const before = (step: number): number[] => stepScores(step, 0.65, 0.03)
    const after = (step: number): number[] => stepScores(step, 0.2, 0.08)
    const probe = (scores: (step: number) => number[]): number[] =>
      Array.from({ length: 64 }, (_, i) => scores(5000 + i)).flat()
    const errorOf = (calibration: Calibration, scores: readonly number[]): number => {
      const { edr, ess } = measure(scores, calibration)
      return Math.max(Math.abs(edr - targets.edr), Math.abs(ess - targets.ess))
    }

    const histogram = new ScoreHistogram()
    for (let step = 0; step < 200; step++) histogram.decayAndAdd(histogram.countScores(before(step)))
    const settled = solveTau(histogram.weightedScores(), targets)
    expect(errorOf(settled, probe(before))).toBeLessThan(1e-3)
    expect(errorOf(settled, probe(after))).toBeGreaterThan(0.1)

    const replaced = new ScoreHistogram()
    replaced.replace(replaced.countScores(Array.from({ length: 16 }, (_, i) => after(i)).flat()))
    expect(errorOf(solveTau(replaced.weightedScores(), targets), probe(after))).toBeLessThan(1e-3)

    const decayErrors = [100, 1000].map((steps, phase) => {
      for (let step = phase * 100; step < steps; step++)
        histogram.decayAndAdd(histogram.countScores(after(step)))
      return errorOf(solveTau(histogram.weightedScores(), { ...targets, previous: settled }), probe(after))
    })
    expect(decayErrors[0]).toBeGreaterThan(1e-2)
    expect(decayErrors[1]).toBeLessThan(1e-3)
  })
})

describe('tauFromSpread', () => {
  it('gives the scale times the quartile range over 1.349, with a floor', () => {
    const even = unweightedScores(Array.from({ length: 1001 }, (_, i) => i / 1000))
    expect(tauFromSpread(even, 2)).toBeCloseTo((2 * 0.5) / 1.349, 3)
    expect(tauFromSpread(unweightedScores([0.5, 0.5]), 2)).toBe(1e-3)
  })
})
