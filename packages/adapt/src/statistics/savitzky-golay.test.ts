import { describe, expect, it } from 'vitest'
import { smoothSavitzkyGolay } from './savitzky-golay.js'

describe('smoothSavitzkyGolay', () => {
  it('leaves a polynomial of its order as it is, at both ends too', () => {
    const cubic = Array.from({ length: 20 }, (_, i) => 1 + 0.2 * i - 0.03 * i * i + 0.001 * i ** 3)
    for (const [i, value] of smoothSavitzkyGolay(cubic, 7, 3).entries())
      expect(value).toBeCloseTo(cubic[i]!, 9)
    for (const [i, value] of smoothSavitzkyGolay(cubic, 101, 3).entries()) expect(value).toBe(cubic[i]!)
  })

  it('has the published weights of a window of five inside', () => {
    const peak = [0, 0, 0, 0, 1, 0, 0, 0, 0]
    const smooth = smoothSavitzkyGolay(peak, 5, 3)
    for (const [i, weight] of [-3, 12, 17, 12, -3].entries())
      expect(smooth[2 + i]).toBeCloseTo(weight / 35, 12)
  })

  it('is exact with the window of the source', () => {
    const line = Array.from({ length: 300 }, (_, i) => 5 - 0.01 * i)
    for (const [i, value] of smoothSavitzkyGolay(line, 101, 3).entries())
      expect(value).toBeCloseTo(line[i]!, 10)
  })

  it('refuses a window that has no middle, or too few values for its order', () => {
    expect(() => smoothSavitzkyGolay([1, 2, 3, 4], 4, 3)).toThrow(
      /expected an odd number above 3, received 4/,
    )
    expect(() => smoothSavitzkyGolay([1, 2, 3], 3, 3)).toThrow(RangeError)
  })
})
