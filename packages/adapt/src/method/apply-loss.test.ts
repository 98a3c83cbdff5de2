import { describe, expect, it } from 'vitest'
import { needsScoringForward } from './apply-loss.js'

describe('needsScoringForward', () => {
  it.each([
    ['batch', {}, [false, false, false]],
    [
      'batch',
      { anchors: true, tokenLosses: true, reference: true, ownForward: false },
      [false, false, false],
    ],
    ['batch', { ownForward: true }, [true, true, true]],
    ['batch', { factors: true }, [true, true, true]],
    // A step of one micro-batch is seen whole in its training forward.
    ['step', {}, [true, false, true]],
    ['step', { ownForward: true }, [true, true, true]],
    ['step', { factors: true }, [true, true, true]],
  ] as const)('of a gate over a %s and a signal that needs %o', (view, needs, expected) => {
    expect(
      [0, 1, 2].map((microBatches) => needsScoringForward({ view, needs, isStored: false }, microBatches)),
    ).toEqual(expected)
  })
})
