import { expect, it } from 'vitest'
import { aggregate } from './aggregate.js'

type Pair = readonly [number, number]
const times = (count: number, pair: Pair): Pair[] => Array.from({ length: count }, () => pair)
/** 3 hits, 2 missed, 1 false alarm, 4 right refusals; right class first. */
const TWO = [...times(3, [1, 1]), ...times(2, [1, 0]), ...times(1, [0, 1]), ...times(4, [0, 0])]

it('f1 is that of class 1, 0 without a hit', () => {
  expect(aggregate('f1', TWO, '')).toBeCloseTo((2 * 3) / (2 * 3 + 2 + 1), 12)
  expect(aggregate('f1', times(3, [1, 0]), '')).toBe(0)
})

it('the correlation of Matthews is that of two classes, and of more as covariances of indicators', () => {
  expect(aggregate('matthews_corrcoef', TWO, '')).toBeCloseTo((3 * 4 - 1 * 2) / Math.sqrt(4 * 5 * 5 * 6), 12)
  const three: Pair[] = [...TWO, [2, 2], [2, 1], [0, 2], [2, 2]]
  const covariance = (a: 0 | 1, b: 0 | 1) => {
    const shareOf = (c: number, side: 0 | 1) => three.filter((pair) => pair[side] === c).length / three.length
    return three
      .flatMap((pair) =>
        [0, 1, 2].map(
          (c) => (Number(pair[a] === c) - shareOf(c, a)) * (Number(pair[b] === c) - shareOf(c, b)),
        ),
      )
      .reduce((x, y) => x + y, 0)
  }
  const expected = covariance(0, 1) / Math.sqrt(covariance(0, 0) * covariance(1, 1))
  expect(aggregate('matthews_corrcoef', three, '')).toBeCloseTo(expected, 12)
  expect(aggregate('matthews_corrcoef', times(4, [1, 1]), '')).toBe(0)
})

it('the Brier score is the mean of squared distances to the right class', () => {
  const shares: readonly [number, readonly number[]][] = [
    [0, [0.5, 0.3, 0.2]],
    [2, [0, 0, 1]],
  ]
  expect(aggregate('brier_score', shares, '')).toBeCloseTo((0.25 + 0.09 + 0.04) / 2, 12)
})

it('perplexity is e to the mean log-likelihood, of a text over its weights', () => {
  expect(aggregate('perplexity', [-1, -3], '')).toBeCloseTo(Math.exp(2), 12)
  const pairs: Pair[] = [
    [-6, 2],
    [-3, 4],
  ]
  expect(aggregate('weighted_perplexity', pairs, '')).toBeCloseTo(Math.exp(1.5), 12)
  expect(aggregate('bits_per_byte', pairs, '')).toBeCloseTo(1.5 / Math.LN2, 12)
})
