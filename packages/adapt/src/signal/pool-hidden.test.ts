import { nn, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { type PoolingOptions, poolHidden } from './pool-hidden.js'
import { lengthOf } from './unit-vectors.js'

const DEFAULT: PoolingOptions = { pooling: 'position_weighted', tokens: 'all' }

/** Pools hidden states given per position: one inner array a position, zeros where left out. */
function pool(batch: Batch, states: readonly number[][], options = DEFAULT): number[][] {
  const width = states[0]!.length
  return scope(() => {
    const hidden = tensor(Float32Array.from(states.flat()), [batch.rows, batch.length, width])
    const pooled_SD = poolHidden(hidden, batch, options)
    expect(pooled_SD.requiresGrad).toBe(false)
    const flat = [...pooled_SD.toFloat32Array()]
    return Array.from({ length: flat.length / width }, (_, s) => flat.slice(s * width, (s + 1) * width))
  })
}

const unit = (rows: readonly number[][]): number[][] =>
  scope(() => {
    const flat = [
      ...nn.unitRows(tensor(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length])).toFloat32Array(),
    ]
    return rows.map((row, i) => flat.slice(i * row.length, (i + 1) * row.length))
  })

function expectClose(actual: readonly (readonly number[])[], expected: readonly (readonly number[])[]) {
  expect(actual).toHaveLength(expected.length)
  for (const [i, row] of expected.entries()) {
    for (const [j, value] of row.entries()) expect(actual[i]![j]).toBeCloseTo(value, 6)
  }
}

const three = { tokens: [5, 6, 7] }
const states = [
  [2, 0, 0],
  [0, 1, 0],
  [0, 0, 3],
]

describe('poolHidden', () => {
  it('weights positions 1, 2, 3 by 1/6, 2/6, 3/6', () => {
    const pooled = pool(batchOf([[three]]), states)
    expectClose(pooled, [[0.333333, 0.333333, 1.5]])
    expectClose(unit(pooled), [[0.212, 0.212, 0.953998]])
  })

  it('takes the plain mean or the last state where asked to', () => {
    expectClose(pool(batchOf([[three]]), states, { ...DEFAULT, pooling: 'mean' }), [[2 / 3, 1 / 3, 1]])
    expectClose(pool(batchOf([[three]]), states, { ...DEFAULT, pooling: 'last' }), [[0, 0, 3]])
  })

  it('pools only the positions that predict a response where asked to', () => {
    const batch = batchOf([[{ tokens: [5, 6, 7], labelsFrom: 2 }]])
    expectClose(pool(batch, states, { pooling: 'mean', tokens: 'response_only' }), [[0, 1, 0]])
    expectClose(pool(batch, states, { pooling: 'last', tokens: 'response_only' }), [[0, 1, 0]])
  })

  it('pools all of a sample that has no response', () => {
    const batch = batchOf([[{ tokens: [5, 6, 7], labelsFrom: 3 }]])
    expectClose(pool(batch, states, { pooling: 'mean', tokens: 'response_only' }), [[2 / 3, 1 / 3, 1]])
  })

  it('gives the worked unit vectors and scores of a packed row, neighbours and padding left out', () => {
    const batch = batchOf([[{ tokens: [3, 4] }, { tokens: [5, 6, 7] }]], { packing: true, maxLength: 6 })
    const packed = [
      [1, 0],
      [0, 1],
      [2, 0],
      [0, 2],
      [1, 1],
      [99, 99],
    ]
    const units = unit(pool(batch, packed))
    expectClose(units, [
      [1 / Math.sqrt(5), 2 / Math.sqrt(5)],
      [5 / Math.sqrt(74), 7 / Math.sqrt(74)],
    ])
    const scores = scope(() => [
      ...nn
        .dotRows(tensor(Float32Array.from(units.flat()), [2, 2]), tensor([0.6, 0.2], [2]))
        .toFloat32Array(),
    ])
    expectClose([scores], [[1 / Math.sqrt(5), 4.4 / Math.sqrt(74)]])
    expect(scores.map((score) => 1 / (1 + Math.exp(-score)))[1]).toBeCloseTo(0.625156, 6)
  })

  it.each([
    'position_weighted',
    'mean',
    'last',
  ] as const)('does not see on which side the padding is (%s)', (pooling) => {
    const rows = [[{ tokens: [3, 4] }], [{ tokens: [5, 6, 7] }]]
    const a = [1, -2]
    const b = [3, 5]
    const junk = [7, 7]
    const right = pool(batchOf(rows), [a, b, junk, a, b, a], { ...DEFAULT, pooling })
    const left = pool(batchOf(rows, { paddingSide: 'left' }), [junk, a, b, a, b, a], { ...DEFAULT, pooling })
    expect(left).toEqual(right)
  })

  it('returns samples in the order of the batch, one-token samples as they are', () => {
    const batch = batchOf([[{ tokens: [3] }, { tokens: [4] }], [{ tokens: [5] }]], {
      packing: true,
      maxLength: 2,
    })
    expect(
      pool(batch, [
        [1, 2],
        [3, 4],
        [5, 6],
        [0, 0],
      ]),
    ).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
  })
})

describe('the mean cosine to the anchors', () => {
  const anchors = [
    [1, 0, 0],
    [0, 3, 4],
    [1, 1, 1],
  ]
  const phi = [[1 / 3, 1 / 3, 1.5]]

  it('is one dot product with the mean of their unit vectors, which is not of length 1', () => {
    scope(() => {
      const units = unit(anchors)
      const centroid = [0, 1, 2].map((d) => units.reduce((sum, row) => sum + row[d]!, 0) / 3)
      expectClose([centroid], [[0.525783, 0.39245, 0.459117]])
      const centroid_D = tensor(centroid, [3])
      expect(lengthOf(centroid_D)).toBeCloseTo(0.800783, 6)
      const [row] = unit(phi)
      const cosines = units.map((anchor) => anchor.reduce((sum, value, d) => sum + value * row![d]!, 0))
      expectClose([cosines], [[0.212, 0.890398, 0.795587]])
      const score = nn.dotRows(tensor(row!, [1, 3]), centroid_D).item()
      expect(score).toBeCloseTo(0.632662, 6)
      expect(score).toBeCloseTo(cosines.reduce((a, b) => a + b) / 3, 6)
      expect(score).toBeLessThanOrEqual(lengthOf(centroid_D))
    })
  })

  it('has the mean over all pairs of anchors as its squared length', () => {
    const units = unit(anchors)
    const pairs = units.flatMap((a) => units.map((b) => a.reduce((sum, value, d) => sum + value * b[d]!, 0)))
    expect(pairs.reduce((a, b) => a + b) / 9).toBeCloseTo(0.641253, 6)
  })
})
