import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TokenizedSample } from '../tokenize/index.js'
import { type BuildBatchOptions, buildBatch } from './build-batch.js'

const PAD = 7777

const datasetOf = (samples: readonly { readonly tokens: number[]; readonly mask: number[] }[]) => ({
  sample: (index: number): TokenizedSample => ({
    index,
    id: `id${index}`,
    source: `s${index % 2}`,
    weight: index + 0.5,
    path: 'p',
    line: 1,
    tokens: Int32Array.from(samples[index]!.tokens),
    labelMask: Uint8Array.from(samples[index]!.mask),
  }),
})

const anySample = fc
  .array(fc.tuple(fc.nat({ max: 500 }), fc.integer({ min: 0, max: 1 })), { minLength: 1, maxLength: 9 })
  .map((pairs) => ({ tokens: pairs.map((p) => p[0]), mask: pairs.map((p, i) => (i === 0 ? 0 : p[1])) }))

const anyRows = fc.array(fc.array(anySample, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 })

describe('buildBatch', () => {
  const dataset = datasetOf([
    { tokens: [1, 2, 3], mask: [0, 1, 1] },
    { tokens: [4, 5], mask: [0, 1] },
    { tokens: [6, 7, 8, 9], mask: [0, 0, 1, 1] },
  ])

  it('lays packed samples side by side with labels shifted within each', () => {
    const batch = buildBatch([[0, 1], [2]], dataset, { maxLength: 6, padId: PAD, packing: true })
    expect([batch.rows, batch.length]).toEqual([2, 6])
    expect([...batch.tokens_BT]).toEqual([1, 2, 3, 4, 5, PAD, 6, 7, 8, 9, PAD, PAD])
    expect([...batch.labels_BT]).toEqual([2, 3, -100, 5, -100, -100, -100, 8, 9, -100, -100, -100])
    expect([...batch.segment_BT]).toEqual([0, 0, 0, 1, 1, -1, 2, 2, 2, 2, -1, -1])
    expect([...batch.position_BT]).toEqual([0, 1, 2, 0, 1, 0, 0, 1, 2, 3, 0, 0])
    expect(batch.samples).toEqual([
      { index: 0, id: 'id0', source: 's0', weight: 0.5, numTokens: 3, numLabels: 2 },
      { index: 1, id: 'id1', source: 's1', weight: 1.5, numTokens: 2, numLabels: 1 },
      { index: 2, id: 'id2', source: 's0', weight: 2.5, numTokens: 4, numLabels: 2 },
    ])
  })

  it('pads to the longest row without packing, or to the length asked for', () => {
    expect(buildBatch([[1], [2]], dataset, { padId: PAD, packing: false }).length).toBe(4)
    expect(buildBatch([[1], [0]], dataset, { padId: PAD, packing: false, maxLength: 50 }).length).toBe(3)
    expect(buildBatch([[1]], dataset, { padId: PAD, packing: false, padTo: 5 }).length).toBe(5)
  })

  it('makes an empty batch of no rows', () => {
    for (const packing of [true, false]) {
      const batch = buildBatch([], dataset, { padId: PAD, packing, maxLength: 6 })
      expect([batch.rows, batch.tokens_BT.length, batch.samples.length]).toEqual([0, 0, 0])
    }
  })

  it('refuses rows that do not fit', () => {
    expect(() => buildBatch([[0, 1]], dataset, { maxLength: 4, padId: PAD, packing: true })).toThrow(
      RangeError,
    )
    expect(() => buildBatch([[2]], dataset, { maxLength: 3, padId: PAD, packing: false })).toThrow(RangeError)
    expect(() => buildBatch([[2]], dataset, { padTo: 3, padId: PAD, packing: false })).toThrow(RangeError)
    expect(() => buildBatch([[2]], dataset, { padId: PAD, packing: true })).toThrow(/maxLength/)
  })

  it('agrees with a plain position by position definition', () => {
    fc.assert(
      fc.property(anyRows, fc.boolean(), fc.boolean(), fc.nat({ max: 5 }), (rows, packing, isLeft, slack) => {
        const samples = rows.flat()
        let next = 0
        const indices = rows.map((row) => row.map(() => next++))
        const longest = Math.max(...rows.map((row) => row.flatMap((s) => s.tokens).length))
        const options: BuildBatchOptions = {
          padId: PAD,
          packing,
          paddingSide: isLeft ? 'left' : 'right',
          ...(packing ? { maxLength: longest + slack } : {}),
        }
        const batch = buildBatch(indices, datasetOf(samples), options)
        expect(batch.length).toBe(packing ? longest + slack : longest)
        for (const [b, row] of indices.entries()) {
          const cells = row.flatMap((s) => samples[s]!.tokens.map((_, position) => ({ s, position })))
          const pad = Array.from({ length: batch.length - cells.length }, () => undefined)
          const layout = isLeft ? [...pad, ...cells] : [...cells, ...pad]
          for (const [t, cell] of layout.entries()) {
            const at = b * batch.length + t
            const after = layout[t + 1]
            const isLabel =
              cell && after && cell.s === after.s && samples[after.s]!.mask[after.position] === 1
            expect(batch.tokens_BT[at]).toBe(cell ? samples[cell.s]!.tokens[cell.position] : PAD)
            expect(batch.segment_BT[at]).toBe(cell ? cell.s : -1)
            expect(batch.position_BT[at]).toBe(cell ? cell.position : 0)
            expect(batch.labels_BT[at]).toBe(isLabel ? samples[after.s]!.tokens[after.position] : -100)
          }
        }
        for (const [k, sample] of batch.samples.entries()) {
          const labels = batch.labels_BT.filter((label, i) => batch.segment_BT[i] === k && label !== -100)
          expect(sample.numLabels).toBe(labels.length)
          expect(sample.numLabels).toBe(samples[k]!.mask.reduce((a, m) => a + m, 0))
          expect(sample.numTokens).toBe(batch.segment_BT.filter((s) => s === k).length)
        }
        expect(batch.samples.map((s) => s.index)).toEqual(samples.map((_, i) => i))
      }),
      { seed: 5, numRuns: 200 },
    )
  })
})
