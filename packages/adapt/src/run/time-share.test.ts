import { describe, expect, it } from 'vitest'
import { TimeShare } from './time-share.js'

/** Training of a second a step, evaluations of `seconds` that are due every `every` steps; the steps at which they are made. */
function simulate(share: number | undefined, seconds: number, every: number, guess?: number) {
  const time = new TimeShare(share, 100)
  const made: number[] = []
  let worst = 0
  for (let step = 0; step < 100; step += every) {
    if (time.tooLong({ step, trainSeconds: step, guess }) !== undefined) continue
    time.note(seconds)
    made.push(step)
    worst = Math.max(worst, time.taken(step))
  }
  time.note(seconds)
  return { made, worst, atEnd: time.taken(100) }
}

describe('TimeShare', () => {
  it('without a share lets every evaluation be made', () => {
    expect(simulate(undefined, 1000, 25).made).toEqual([0, 25, 50, 75])
  })

  it('thins evaluations out so that with the last one they never take more', () => {
    for (const share of [0.02, 0.1, 0.3]) {
      const { made, worst, atEnd } = simulate(share, 1, 2, 1)
      expect(worst).toBeLessThanOrEqual(share)
      expect(atEnd).toBeLessThanOrEqual(share)
      // Nor much less.
      expect(made.length + 1).toBeGreaterThan(0.8 * Math.min(51, (100 * share) / (1 - share)) - 1)
    }
  })

  it('makes none but the last where there is no room for two', () => {
    expect(simulate(0.05, 3, 10, 3).made).toEqual([])
  })

  it('knows nothing before the first step, and makes none then', () => {
    expect(simulate(0.5, 1, 10).made).toEqual([])
    expect(simulate(0.5, 1, 10, 1).made[0]).toBe(10)
  })
})
