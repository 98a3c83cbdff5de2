import { describe, expect, it } from 'vitest'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { selectSamples } from './select-samples.js'

describe('selectSamples', () => {
  const packed = batchOf(
    [
      [
        { tokens: [4, 5, 6], id: 'a', labelsFrom: 2 },
        { tokens: [7, 8], id: 'b' },
      ],
      [{ tokens: [9], id: 'c' }],
    ],
    { packing: true, maxLength: 6, paddingSide: 'left' },
  )
  const plain = batchOf([[{ tokens: [3, 4, 5, 6], id: 'd' }]])

  it('lays the samples out one a row, as if they had been alone', () => {
    const found = selectSamples([packed, plain], [3, 1, 0])
    expect(found.samples.map(({ id }) => id)).toEqual(['d', 'b', 'a'])
    const alone = batchOf([
      [{ tokens: [3, 4, 5, 6] }],
      [{ tokens: [7, 8] }],
      [{ tokens: [4, 5, 6], labelsFrom: 2 }],
    ])
    expect(found.rows).toBe(3)
    expect(found.length).toBe(4)
    expect(found.labels_BT).toEqual(alone.labels_BT)
    expect(found.segment_BT).toEqual(alone.segment_BT)
    expect(found.position_BT).toEqual(alone.position_BT)
    const real = (tokens: Int32Array) => tokens.map((token, i) => (found.segment_BT[i] === -1 ? 0 : token))
    expect(real(found.tokens_BT)).toEqual(real(alone.tokens_BT))
  })

  it('is empty for no places and refuses one that is not there', () => {
    expect(selectSamples([plain], [])).toMatchObject({ rows: 0, length: 0, samples: [] })
    expect(() => selectSamples([packed, plain], [4])).toThrow(RangeError)
  })
})
