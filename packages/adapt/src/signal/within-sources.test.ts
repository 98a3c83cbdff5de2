import { describe, expect, it } from 'vitest'
import { createStream } from '../batch/index.js'
import { betweenSources, sourceFigures, withinReliability } from './within-sources.js'

/** The example of docs/methods/adapt-calibrated.md. */
const SOURCES = ['a', 'a', 'b', 'b', 'b']
const HALVES = [
  [0.1, 0.5, 0.4, 0.6, 0.8],
  [0.3, 0.3, 0.6, 0.6, 0.8],
] as const

/** The same numbers in [0, 1) at every call. */
function randoms(seed: number, count: number): number[] {
  const next = createStream([seed])
  return Array.from({ length: count }, () => next() / 2 ** 32)
}

describe('betweenSources', () => {
  const sources = Array.from({ length: 200 }, (_, i) => 'tsno'[i % 4]!)

  it('is 1 for a score that is its source, about 0 for one that knows none, and unknown for one source', () => {
    const codes = sources.map((name) => name.charCodeAt(0))
    expect(betweenSources(codes, sources)).toBeCloseTo(1, 12)
    expect(betweenSources(randoms(3, 200), sources)).toBeLessThan(0.05)
    const one = sources.map(() => 'one')
    expect(betweenSources(codes, one)).toBeUndefined()
  })

  it('is epsilon squared of the ranks', () => {
    // Ranks 1 2 5 | 3 4 6: means 8/3 and 13/3, within 78/9 + 42/9 = 40/3, all 17.5.
    const share = betweenSources([1, 2, 5, 3, 4, 6], ['a', 'a', 'a', 'b', 'b', 'b'])
    expect(share).toBeCloseTo(1 - 40 / 3 / 4 / (17.5 / 5), 12)
  })
})

describe('withinReliability', () => {
  it('has the worked numbers', () => {
    expect(withinReliability(HALVES, SOURCES)).toBeCloseTo(0.759592, 6)
    expect(betweenSources([0.2, 0.4, 0.5, 0.6, 0.8], SOURCES)).toBeCloseTo(2 / 3, 12)
  })

  it('does not see what sources have in common: only differences inside of them count', () => {
    const shift = (values: readonly number[], by: number) =>
      values.map((value, i) => value + (SOURCES[i] === 'a' ? by : -2 * by))
    const shifted = [shift(HALVES[0], 3), shift(HALVES[1], -5)] as const
    expect(withinReliability(shifted, SOURCES)).toBeCloseTo(0.759592, 6)
  })

  it('is 0 where halves contradict each other, 1 where they agree, and what a half of the noise leaves', () => {
    const [first] = HALVES
    expect(withinReliability([first, first.map((value) => -value)], SOURCES)).toBe(0)
    expect(withinReliability([first, first.map((value) => 3 * value)], SOURCES)).toBeCloseTo(1, 12)
    const n = 4000
    const sources = randoms(1, n).map((value) => Math.floor(7 * value))
    const truth = randoms(2, n)
    const half = (seed: number) => randoms(seed, n).map((noise, i) => truth[i]! + noise)
    // A half is as much noise as truth, rho = 1/2; both together two thirds truth.
    expect(Math.abs(withinReliability([half(3), half(4)], sources)! - 2 / 3)).toBeLessThan(0.03)
  })

  it('is unknown where samples of a source do not differ, or are too few', () => {
    const flat = SOURCES.map((source) => (source === 'a' ? 1 : 2))
    expect(withinReliability([flat, HALVES[0]], SOURCES)).toBeUndefined()
    expect(withinReliability([HALVES[0], HALVES[1]], ['a', 'a', 'b', 'b', 'c'])).toBeUndefined()
    expect(
      sourceFigures(
        flat.map(() => 1),
        SOURCES,
        undefined,
      ),
    ).toEqual({})
  })
})
