import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { sampleMeans } from './sample-means.js'

const meansOf = (values: readonly number[], labels: readonly number[]) =>
  scope(() => [
    ...sampleMeans(
      tensor(values, [values.length]),
      labels.map((numLabels) => ({ numLabels })),
    ).toFloat32Array(),
  ])

describe('sampleMeans', () => {
  it('is the mean over the labels of each sample, and 0 without any', () => {
    expect(meansOf([1, 2, 6, 4.5, -3], [3, 0, 1, 1, 0])).toEqual([3, 0, 4.5, -3, 0])
    expect(meansOf([], [0, 0])).toEqual([0, 0])
    expect(meansOf([], [])).toEqual([])
  })

  it('sums up in float64', () => {
    const values = [1, ...Array<number>(1000).fill(2 ** -25)]
    expect(meansOf(values, [1001])[0]! * 1001).toBeCloseTo(1 + 1000 * 2 ** -25, 6)
    // In float32 nothing of the small ones would be left.
    expect(meansOf([2 ** 24, 1, 1, -(2 ** 24)], [4])).toEqual([0.5])
  })

  it('does not see what else is there', () => {
    const one = [0.1, 0.7, 0.3]
    expect(meansOf([...one, 5, 1e9], [3, 2])[0]).toBe(meansOf(one, [3])[0])
    expect(meansOf([1e9, ...one], [1, 3])[1]).toBe(meansOf(one, [3])[0])
  })

  it('keeps what is no number in its own sample', () => {
    expect(meansOf([Number.NaN, 2, 4], [1, 2])).toEqual([Number.NaN, 3])
  })
})
