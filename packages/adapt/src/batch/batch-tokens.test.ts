import { describe, expect, it } from 'vitest'
import { batchTokens } from './batch-tokens.js'

describe('batchTokens', () => {
  it('pads to the longest sequence and predicts every token but the first', () => {
    const batch = batchTokens([[4, 5, 6], new Int32Array([7, 8])], { padId: 9 })
    expect([batch.rows, batch.length]).toEqual([2, 3])
    expect([...batch.tokens_BT]).toEqual([4, 5, 6, 7, 8, 9])
    expect([...batch.labels_BT]).toEqual([5, 6, -100, 8, -100, -100])
    expect([...batch.segment_BT]).toEqual([0, 0, 0, 1, 1, -1])
    expect(batch.samples.map(({ id, source, weight }) => [id, source, weight])).toEqual([
      ['sample-0', 'memory', 1],
      ['sample-1', 'memory', 1],
    ])
  })

  it('keeps what a sequence says of itself, and learns no prompt', () => {
    const { labels_BT, samples } = batchTokens([
      { tokens: [1, 2, 3, 4], numPromptTokens: 2, id: 'a', source: 'qa', weight: 0.5 },
    ])
    expect([...labels_BT]).toEqual([-100, 3, 4, -100])
    expect(samples[0]).toMatchObject({ id: 'a', source: 'qa', weight: 0.5, numTokens: 4, numLabels: 2 })
  })

  it('refuses what no embedding could look up', () => {
    for (const [tokens, received] of [
      [[], 'no token'],
      [[1, 2.5], '2.5 at position 1'],
      [[-1], '-1 at position 0'],
      [[2 ** 31], '2147483648 at position 0'],
    ] as const) {
      expect(() => batchTokens([[1], tokens])).toThrow(
        expect.objectContaining({ code: 'BAD_TOKENS', message: expect.stringContaining(received) }),
      )
    }
  })
})
