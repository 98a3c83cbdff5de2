import { describe, expect, it } from 'vitest'
import { probePlaces, type RefreshKind, upkeepDue } from './refresh-schedule.js'

const optionsOf = (refresh: RefreshKind, refreshEvery = 50) => ({
  refresh,
  refreshFrom: 'last' as const,
  refreshEvery,
  probeEvery: 25,
  drift: 0.01,
  refreshMin: 30,
  refreshMax: 110,
})

describe('upkeepDue', () => {
  it.each(['interval', 'adaptive', 'rolling'] as const)('embeds all anchors at first (%s)', (refresh) => {
    expect(upkeepDue(optionsOf(refresh), { sinceLast: undefined, step: 3 }, 7)).toEqual({
      kind: 'all',
      reason: 'start',
    })
  })

  it('interval: nothing before the interval is over', () => {
    expect(upkeepDue(optionsOf('interval'), { sinceLast: 49, step: 100 }, 7)).toEqual({ kind: 'none' })
    expect(upkeepDue(optionsOf('interval'), { sinceLast: 50, step: 57 }, 7)).toEqual({
      kind: 'all',
      reason: 'interval',
    })
  })

  it('interval from the start: at once, then in the steps of the run that it divides', () => {
    const options = { ...optionsOf('interval'), refreshFrom: 'start' as const }
    const refreshed: number[] = []
    for (let step = 70; step < 210; step++) {
      const last = refreshed.at(-1)
      const sinceLast = last === undefined ? undefined : step - last
      if (upkeepDue(options, { sinceLast, step }, 7).kind === 'all') refreshed.push(step)
    }
    expect(refreshed).toEqual([70, 100, 150, 200])
  })

  it('adaptive: probes every 25 steps, not before the least interval, and refreshes after the longest', () => {
    const probed = Array.from({ length: 110 }, (_, i) => i + 1).filter(
      (since) => upkeepDue(optionsOf('adaptive'), { sinceLast: since, step: since }, 7).kind === 'probe',
    )
    expect(probed).toEqual([50, 75, 100])
    expect(upkeepDue(optionsOf('adaptive'), { sinceLast: 110, step: 110 }, 7)).toEqual({
      kind: 'all',
      reason: 'interval',
    })
  })

  it.each([
    [400, 50],
    [7, 3],
    [3, 10],
    [1, 1],
  ])('rolling: %d anchors in %d steps, each once a round and evenly spread', (numAnchors, steps) => {
    const parts = Array.from({ length: steps }, (_, i) =>
      upkeepDue(optionsOf('rolling', steps), { sinceLast: i + 1, step: i + 1 }, numAnchors),
    )
    let next = 0
    for (const [i, part] of parts.entries()) {
      if (part.kind !== 'part') throw new Error(part.kind)
      expect(part.start).toBe(next)
      expect(part.end - part.start).toBeLessThanOrEqual(Math.ceil(numAnchors / steps))
      expect(part.endsRound).toBe(i === steps - 1)
      next = part.end
    }
    expect(next).toBe(numAnchors)
  })
})

describe('probePlaces', () => {
  it('spreads 16 places over all anchors, and takes all of fewer', () => {
    expect(probePlaces(3)).toEqual([0, 1, 2])
    expect(probePlaces(160)).toEqual(Array.from({ length: 16 }, (_, i) => 5 + 10 * i))
  })
})
