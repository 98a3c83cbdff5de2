import { describe, expect, it } from 'vitest'
import type { StepRecord } from '../../record/index.js'
import type { RunParts, StepResult } from '../run-parts.js'
import { aloneWorld } from '../world.js'
import { RankPace, slowRanks } from './rank-pace.js'

describe('slowRanks', () => {
  it.each([
    ['of two, the one that works half as long again', [100, 160], [1]],
    ['nobody within that', [100, 149], []],
    ['each above the median of several', [100, 90, 300, 110, 400], [2, 4]],
    ['nobody by a few milliseconds', [1, 5], []],
    ['nobody of one', [100], []],
  ])('names %s', (_, workMs, expected) => {
    expect(slowRanks(workMs)).toEqual(expected)
  })
})

describe('RankPace', () => {
  it('records the pace of the ranks every 20 steps, and tells of a slow one once', () => {
    const [events, alerts]: [object[], string[]] = [[], []]
    let waitedMs = 0
    const world = {
      ...aloneWorld(),
      worldSize: 2,
      hosts: ['a', 'b'],
      gatherNumbers: (own: readonly number[]) => [[...own], [own[0]! * 3, 0]],
    }
    Object.defineProperty(world, 'waitedMs', { get: () => waitedMs })
    const recorder = {
      log: { event: (event: object) => events.push(event) },
      alert: (code: string, message: string) => alerts.push(`${code} ${message}`),
    }
    const pace = new RankPace({ world } as unknown as RunParts, recorder as never)
    for (let step = 1; step <= 45; step++) {
      // Between two steps it waits, too, for the records of others.
      waitedMs += 1000
      pace.beforeStep()
      waitedMs += 60
      pace.afterStep({ record: { step, stepMs: 100 } as StepRecord } as StepResult)
    }
    expect(events).toMatchObject([
      { type: 'ranks', step: 20, workMs: [40, 120], waitMs: [60, 0] },
      { type: 'ranks', step: 40, workMs: [40, 120], waitMs: [60, 0] },
    ])
    expect(alerts).toEqual([
      'SLOW_RANK rank 1 on b works 120 ms a step, the fastest 40 ms: the others wait for it',
    ])
  })
})
