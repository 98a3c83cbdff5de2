import { describe, expect, it } from 'vitest'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { demonstrationsOf, inContext, nearestPlaces, samplesOf } from './demonstrations.js'

const SPECIALS = { startId: 1, eosId: 2 }
const sampleOf = (tokens: readonly number[], labelsFrom: number) => ({
  tokens: Int32Array.from(tokens),
  labelMask: Uint8Array.from(tokens, (_, t) => (t >= labelsFrom ? 1 : 0)),
})
const text = (...tokens: readonly number[]) => ({ tokens: Int32Array.from(tokens), isChat: false })
const chat = (...tokens: readonly number[]) => ({ tokens: Int32Array.from(tokens), isChat: true })
const SAMPLE = sampleOf([1, 50, 51, 2], 2)

describe('the nearest anchors', () => {
  it('are the worked ones', () => {
    expect(nearestPlaces([0.96, 0.8, 0.6, 0.5376], 3, () => true)).toEqual([0, 1, 2])
  })

  it('are the first of equal ones, without those that are ruled out', () => {
    expect(nearestPlaces([0.5, 0.9, 0.5, 0.9], 3, (v) => v !== 1)).toEqual([3, 0, 2])
    expect(nearestPlaces([0.5], 3, (v) => v !== 0)).toEqual([])
  })
})

describe('a sample in context', () => {
  it('stands behind texts that end with the end-of-text token, the nearest last, with one start and its own labels', () => {
    const found = inContext(SAMPLE, [text(1, 10, 11, 2), text(1, 20)], SPECIALS, 100)!
    expect([...found.tokens]).toEqual([1, 20, 2, 10, 11, 2, 50, 51, 2])
    expect([...found.labelMask]).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 1])
    expect(found.count).toBe(2)
  })

  it('stands behind the turns of conversations as they are', () => {
    const own = sampleOf([60, 61, 62], 1)
    const found = inContext(own, [chat(30, 31), chat(40, 41)], SPECIALS, 100)!
    expect([...found.tokens]).toEqual([40, 41, 30, 31, 60, 61, 62])
    expect([...found.labelMask]).toEqual([0, 0, 0, 0, 0, 1, 1])
  })

  it('loses the farthest first where not all fit, and has no context where none does', () => {
    const anchors = [text(1, 10, 2), text(1, 20, 21, 22, 2)]
    const countAt = (room: number) => inContext(SAMPLE, anchors, SPECIALS, room)?.count
    // [1 20 21 22 2] [10 2] [50 51 2], and [1 10 2] [50 51 2]
    expect([10, 9, 6, 5].map(countAt)).toEqual([2, 1, 1, undefined])
    expect(inContext(SAMPLE, [], SPECIALS, 100)).toBeUndefined()
  })
})

describe('anchors as demonstrations', () => {
  it('are the tokens of each without padding, and know which are conversations', () => {
    const batches = [
      batchOf([[{ tokens: [5, 6] }], [{ tokens: [7, 8, 9] }]]),
      batchOf([[{ tokens: [3, 4] }]]),
    ]
    expect(
      demonstrationsOf(batches, (v) => v === 0).map(({ tokens, isChat }) => [[...tokens], isChat]),
    ).toEqual([
      [[5, 6], true],
      [[7, 8, 9], false],
      [[3, 4], false],
    ])
  })
})

describe('the samples of a batch', () => {
  it('are what was laid out, label by label', () => {
    const batch = batchOf([[{ tokens: [5, 6, 7, 8], labelsFrom: 2 }], [{ tokens: [7, 8], labelsFrom: 2 }]])
    expect(samplesOf(batch).map(({ tokens, labelMask }) => [[...tokens], [...labelMask]])).toEqual([
      [
        [5, 6, 7, 8],
        [0, 0, 1, 1],
      ],
      [
        [7, 8],
        [0, 0],
      ],
    ])
  })
})
