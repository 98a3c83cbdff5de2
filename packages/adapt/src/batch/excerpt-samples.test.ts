import { describe, expect, it } from 'vitest'
import { scoredPart } from '../method/scored-part.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { excerptSamples } from './excerpt-samples.js'

const counted = (length: number, from = 3) => Array.from({ length }, (_, t) => from + (t % 40))
const rowOf = (values: Int32Array, row: number, length: number) => [
  ...values.subarray(row * length, (row + 1) * length),
]

describe('excerptSamples', () => {
  it('leaves a batch alone that has no longer sample', () => {
    const batch = batchOf([[{ tokens: counted(5) }, { tokens: counted(4) }]])
    expect(excerptSamples(batch, 5, () => 0)).toBe(batch)
  })

  it('cuts longer samples to a window at a start of the grid, and keeps the others whole, packed or not', () => {
    const batch = batchOf([
      [
        { tokens: counted(300), id: 'long' },
        { tokens: counted(4, 7), id: 'short' },
      ],
    ])
    const offered: number[][] = []
    const part = excerptSamples(batch, 20, (sample, starts) => {
      offered.push([sample.numTokens, ...starts])
      return starts.at(-1)!
    })
    expect(offered).toEqual([[300, 0, 128, 256]])
    expect([part.rows, part.length]).toEqual([2, 20])
    expect(part.samples.map(({ id, numTokens, numLabels }) => [id, numTokens, numLabels])).toEqual([
      ['long', 20, 20],
      ['short', 4, 3],
    ])
    expect(rowOf(part.tokens_BT, 0, 20)).toEqual(counted(300).slice(256, 276))
    // The token after the window is still its last label.
    expect(rowOf(part.labels_BT, 0, 20)).toEqual(counted(300).slice(257, 277))
    expect(rowOf(part.position_BT, 0, 20)).toEqual(Array.from({ length: 20 }, (_, t) => t))
    expect(rowOf(part.segment_BT, 1, 20)).toEqual([1, 1, 1, 1, ...new Array(16).fill(-1)])
    expect(rowOf(part.tokens_BT, 1, 20).slice(0, 4)).toEqual(counted(4, 7))
  })

  it('shows a label of every sample that has one', () => {
    const starts: number[][] = []
    const choose = (_: unknown, offered: readonly number[]) => {
      starts.push([...offered])
      return offered[0]!
    }
    const late = batchOf([[{ tokens: counted(300), labelsFrom: 200 }]])
    expect(excerptSamples(late, 100, choose).samples[0]!.numLabels).toBeGreaterThan(0)
    // Between two starts of the grid.
    const between = batchOf([[{ tokens: counted(300), labelsFrom: 299 }]])
    expect(excerptSamples(between, 10, choose).samples[0]).toMatchObject({ numTokens: 10, numLabels: 1 })
    const none = batchOf([[{ tokens: counted(300), labelsFrom: 300 }]])
    expect(excerptSamples(none, 10, choose).samples[0]!.numLabels).toBe(0)
    expect(starts).toEqual([[128], [0, 128, 256]])
  })
})

it('what is scored of a sample is drawn anew in every step, by seed and sample, wherever it stands', () => {
  const long = { tokens: counted(1000), index: 4 }
  const startIn = (step: number, rows: Parameters<typeof batchOf>[0], seed = 1) => {
    const part = scoredPart(batchOf(rows), { window: 10 }, { seed, step })
    const place = part.samples.findIndex(({ index }) => index === 4)
    return part.tokens_BT[place * part.length]!
  }
  const alone = Array.from({ length: 12 }, (_, step) => startIn(step, [[long]]))
  expect(new Set(alone).size).toBeGreaterThan(2)
  const other = { tokens: counted(1000, 9), index: 5 }
  expect(Array.from({ length: 12 }, (_, step) => startIn(step, [[other, long]]))).toEqual(alone)
  const batch = batchOf([[long]])
  expect(scoredPart(batch, {}, { seed: 1, step: 0 })).toBe(batch)
})
