import { describe, expect, it } from 'vitest'
import { type Layout, layOutRows, layOutSamples } from './lay-out.js'

/** Sample i has 2 + i tokens, all of them 100 + i. */
const dataset: Layout['dataset'] = {
  length: (i) => 2 + i,
  sample: (index) => ({
    index,
    id: String(index),
    source: 'a',
    weight: 1,
    tokens: new Int32Array(2 + index).fill(100 + index),
    labelMask: new Uint8Array(2 + index).fill(1, 1),
    path: 'a.jsonl',
    line: index,
  }),
}
const layoutOf = (packing: boolean, worldSize: number, rank: number, perDevice = 2): Layout => ({
  dataset,
  padId: 0,
  packing,
  maxLength: 16,
  perDevice,
  worldSize,
  rank,
})
const SAMPLES = [9, 3, 0, 12, 5, 7, 1, 14, 2]

describe('layOutSamples', () => {
  it('gives every sample to one rank, whatever the number of ranks', () => {
    for (const packing of [true, false]) {
      for (const worldSize of [1, 2, 4]) {
        const batches = Array.from({ length: worldSize }, (_, rank) =>
          layOutSamples(SAMPLES, layoutOf(packing, worldSize, rank)),
        ).flat()
        const seen = batches.flatMap(({ samples }) => samples.map(({ index }) => index))
        expect([...seen].sort((a, b) => a - b)).toEqual([...SAMPLES].sort((a, b) => a - b))
        for (const { rows, tokens_BT } of batches) {
          expect(rows).toBeGreaterThan(0)
          expect(rows).toBeLessThanOrEqual(2)
          expect(tokens_BT.length).toBeGreaterThan(0)
        }
      }
    }
  })

  it('packs what is kept anew, into fewer rows', () => {
    const batches = layOutSamples(SAMPLES, layoutOf(true, 1, 0, 100))
    // 71 tokens in rows of 16.
    expect(batches.map(({ rows, length }) => [rows, length])).toEqual([[5, 16]])
    expect(layOutSamples(SAMPLES, layoutOf(false, 1, 0, 100)).map(({ rows }) => rows)).toEqual([9])
  })

  it('keeps the order of the samples where each has a row', () => {
    const order = layOutSamples(SAMPLES, layoutOf(false, 1, 0)).flatMap(({ samples }) =>
      samples.map(({ index }) => index),
    )
    expect(order).toEqual(SAMPLES)
  })

  it('makes as many micro-batches as the rows take, and none for a rank without rows', () => {
    expect(layOutSamples(SAMPLES, layoutOf(false, 1, 0))).toHaveLength(5)
    expect(layOutSamples([3], layoutOf(false, 2, 1))).toEqual([])
    expect(layOutSamples([], layoutOf(true, 1, 0))).toEqual([])
    expect(() => layOutSamples([15], layoutOf(true, 1, 0))).toThrow(/max_length = 16/)
  })
})

describe('layOutRows', () => {
  it('cuts a step as its shape says: micro-batch after micro-batch, rank after rank', () => {
    const rows = [[0], [1], [2], [3], [4]]
    const of = (rank: number) =>
      layOutRows(rows, layoutOf(false, 2, rank, 1)).map(({ samples }) => samples.map(({ index }) => index))
    expect(of(0)).toEqual([[0], [2], [4]])
    expect(of(1)).toEqual([[1], [3]])
  })
})
