import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { packSamples, type Row } from './pack-samples.js'
import { createPermutation } from './permute-index.js'
import { FIRST_ROW, type RowCursor } from './row-cursor.js'
import { createRowStream, type RowStreamOptions } from './row-stream.js'
import { splitGlobalBatch } from './split-global-batch.js'

const MAX_LENGTH = 32

const datasetOf = (lengths: readonly number[]): RowStreamOptions['dataset'] => ({
  numSamples: lengths.length,
  length: (i) => lengths[i]!,
  sources: ['only'],
  sourceIndex: () => 0,
})

const lengthsOf = (n: number): number[] =>
  Array.from({ length: n }, (_, i) => 1 + ((i * i * 7 + 3 * i) % MAX_LENGTH))

const optionsOf = (n: number, packing: boolean, windowSize: number): RowStreamOptions => ({
  dataset: datasetOf(lengthsOf(n)),
  seed: 11,
  maxLength: MAX_LENGTH,
  packing,
  windowSize,
})

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return (error as AdaptError).code
  }
  throw new Error('expected an error')
}

/** Rows of whole epochs, one at a time, with the cursor before each. */
function walk(options: RowStreamOptions, numEpochs: number): { row: Row; at: RowCursor; epoch: number }[] {
  const stream = createRowStream(options)
  const seen = []
  for (let ends = 0; ends < numEpochs; ) {
    const at = stream.cursor
    const { rows, epoch, epochEnd } = stream.next(1)
    expect(rows).toHaveLength(1)
    seen.push({ row: rows[0]!, at, epoch })
    ends += epochEnd ? 1 : 0
  }
  return seen
}

const cases = [
  [1, true, 8],
  [100, true, 16],
  [100, false, 16],
  [97, true, 1024],
  [64, true, 64],
  [33, false, 1],
] as const

describe('createRowStream', () => {
  it.each(
    cases,
  )('gives every sample once per epoch (%i samples, packing %s, window %i)', (n, packing, window) => {
    const seen = walk(optionsOf(n, packing, window), 3)
    const orders = [0, 1, 2].map((e) => seen.filter((s) => s.epoch === e).flatMap((s) => s.row))
    for (const order of orders) {
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i))
    }
    if (n > 1) {
      expect(new Set(orders.map((o) => o.join())).size).toBe(3)
    }
  })

  it.each(
    cases,
  )('continues exactly from every cursor (%i samples, packing %s, window %i)', (n, packing, window) => {
    const options = optionsOf(n, packing, window)
    const seen = walk(options, 2)
    for (const [k, { at }] of seen.entries()) {
      const cursor = JSON.parse(JSON.stringify(at)) as RowCursor
      const stream = createRowStream({ ...options, cursor })
      const rest = seen.slice(k).map((s) => s.row)
      expect(rest.map(() => stream.next(1).rows[0])).toEqual(rest)
      expect(stream.cursor).toEqual({ ...FIRST_ROW, epoch: 2 })
    }
  })

  it('gives the same rows whatever number is asked for at once', () => {
    const options = optionsOf(100, true, 16)
    const one = walk(options, 2).map((s) => s.row)
    for (const numRows of [2, 3, 7, 1000]) {
      const stream = createRowStream(options)
      const rows: Row[] = []
      for (let ends = 0; ends < 2; ) {
        const step = stream.next(numRows)
        expect(step.rows.length === numRows || step.epochEnd).toBe(true)
        rows.push(...step.rows)
        ends += step.epochEnd ? 1 : 0
      }
      expect(rows).toEqual(one)
    }
  })

  it('ends an epoch with the call that takes its last row', () => {
    const stream = createRowStream(optionsOf(6, false, 4))
    expect(stream.next(3)).toMatchObject({ epoch: 0, epochEnd: false })
    expect(stream.next(3)).toMatchObject({ epoch: 0, epochEnd: true })
    expect(stream.cursor).toEqual({ ...FIRST_ROW, epoch: 1 })
    expect(stream.next(20)).toMatchObject({ epoch: 1, epochEnd: true })
    expect(stream.cursor).toEqual({ ...FIRST_ROW, epoch: 2 })
  })

  it('skips what is left of an epoch after its last whole batch', () => {
    const stream = createRowStream(optionsOf(7, false, 4))
    const taken = Array.from({ length: 5 }, () => {
      const { rows, epoch, epochEnd } = stream.next(4, { multipleOf: 2 })
      return [rows.length, epoch, epochEnd]
    })
    expect(taken).toEqual([
      [4, 0, false],
      [2, 0, true],
      [4, 1, false],
      [2, 1, true],
      [4, 2, false],
    ])
    // One row is left of 9 after two steps of 4: it is no batch of 2, and the step begins with the next epoch.
    const nine = createRowStream(optionsOf(9, false, 4))
    const epochs = Array.from({ length: 4 }, () => nine.next(4, { multipleOf: 2 }).epoch)
    expect(epochs).toEqual([0, 0, 1, 1])
    expect(() => createRowStream(optionsOf(3, false, 4)).next(4, { multipleOf: 4 })).toThrow(/fewer rows/)
  })

  it('counts the rows of an epoch without moving', () => {
    for (const packing of [true, false]) {
      const options = optionsOf(100, packing, 16)
      const stream = createRowStream(options)
      stream.next(3)
      const { cursor } = stream
      const seen = walk(options, 3)
      for (const epoch of [0, 1, 2]) {
        expect(stream.numRowsPerEpoch(epoch)).toBe(seen.filter((s) => s.epoch === epoch).length)
      }
      expect(stream.cursor).toEqual(cursor)
      expect(stream.next(1).rows).toEqual([seen[3]!.row])
    }
  })

  it('fills packed rows well and never over', () => {
    const options = optionsOf(1000, true, 256)
    const rows = walk(options, 1).map((s) => s.row)
    const widths = rows.map((row) => row.reduce((sum, i) => sum + options.dataset.length(i), 0))
    expect(Math.max(...widths)).toBeLessThanOrEqual(MAX_LENGTH)
    const numTokens = lengthsOf(1000).reduce((a, b) => a + b, 0)
    expect(numTokens / (rows.length * MAX_LENGTH)).toBeGreaterThan(0.95)
  })

  it('does not give the rows of a window sorted by how long their samples are', () => {
    const options = optionsOf(512, true, 512)
    const longest = walk(options, 1).map(({ row }) => Math.max(...row.map((i) => options.dataset.length(i))))
    const numFalling = longest.filter((n, i) => i > 0 && n < longest[i - 1]!).length
    expect(numFalling).toBeGreaterThan(longest.length / 4)
    expect(numFalling).toBeLessThan((longest.length * 3) / 4)
  })

  it('shuffles the rows of each window in its own way', () => {
    const numSamples = 32
    const dataset = datasetOf(new Array(numSamples).fill(MAX_LENGTH))
    const options = { ...optionsOf(0, true, 16), dataset }
    const order = createPermutation({ seed: options.seed, epoch: 0, numSamples })
    const placeOf = new Map(Array.from({ length: numSamples }, (_, i) => [order(i), i % 16]))
    const places = walk(options, 1).map(({ row }) => placeOf.get(row[0]!))
    expect(places.slice(0, 16)).not.toEqual(places.slice(16))
  })

  it('refuses cursors that are none of this data', () => {
    const options = optionsOf(100, true, 16)
    const wrong = [
      { epoch: 0, window: 7, row: 0 },
      { epoch: 0, window: 0, row: 99 },
      { epoch: -1, window: 0, row: 0 },
      { epoch: 0, window: 0.5, row: 0 },
      { epoch: 0, window: 0 } as unknown as RowCursor,
    ]
    for (const cursor of wrong) {
      expect(codeOf(() => createRowStream({ ...options, cursor }))).toBe('CURSOR_OUT_OF_RANGE')
    }
  })

  it('refuses data and options it cannot work with', () => {
    const options = optionsOf(10, true, 16)
    expect(codeOf(() => createRowStream({ ...options, dataset: datasetOf([]) }))).toBe('EMPTY_DATA')
    expect(codeOf(() => createRowStream({ ...options, dataset: datasetOf([3, 33]) }))).toBe('SAMPLE_TOO_LONG')
    for (const wrong of [
      { seed: -1 },
      { seed: 0.5 },
      { windowSize: 0 },
      { windowSize: 10 ** 6 },
      { maxLength: 0 },
    ]) {
      expect(codeOf(() => createRowStream({ ...options, ...wrong }))).toBe('OUT_OF_RANGE')
    }
  })
})

describe('packSamples', () => {
  it('takes the longest first and the fullest row that has room', () => {
    expect(packSamples([4, 8, 1, 4, 2, 1], 10)).toEqual([
      [1, 4],
      [0, 2, 3, 5],
    ])
    expect(packSamples([7, 5, 3], 10)).toEqual([[0, 2], [1]])
    expect(packSamples([5, 5, 5], 10)).toEqual([[0, 1], [2]])
    expect(packSamples([], 10)).toEqual([])
  })

  it('places every sample once, never over the capacity, with no two rows that fit into one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 60 }), (lengths) => {
        const rows = packSamples(lengths, 20)
        const widths = rows.map((row) => row.reduce((sum, i) => sum + lengths[i]!, 0))
        expect(rows.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i))
        expect(widths.every((w) => w <= 20)).toBe(true)
        const [a = 20, b = 20] = [...widths].sort((x, y) => x - y)
        expect(a + b).toBeGreaterThan(20)
      }),
      { seed: 3 },
    )
  })
})

describe('splitGlobalBatch', () => {
  it('covers the rows once over all ranks and micro-batches, in order', () => {
    const rows = Array.from({ length: 24 }, (_, i) => i)
    const shape = { perDevice: 3, accumulation: 4, worldSize: 2 }
    const ranks = [0, 1].map((rank) => splitGlobalBatch(rows, { ...shape, rank }))
    expect(ranks[0]).toEqual([
      [0, 1, 2],
      [6, 7, 8],
      [12, 13, 14],
      [18, 19, 20],
    ])
    expect([0, 1, 2, 3].flatMap((a) => ranks.flatMap((r) => r[a]!))).toEqual(rows)
  })

  it('gives a short step short or empty micro-batches, never fewer', () => {
    const shape = { perDevice: 2, accumulation: 2, worldSize: 2 }
    expect(splitGlobalBatch([1, 2, 3], { ...shape, rank: 0 })).toEqual([[1, 2], []])
    expect(splitGlobalBatch([1, 2, 3], { ...shape, rank: 1 })).toEqual([[3], []])
    expect(splitGlobalBatch([], { ...shape, rank: 1 })).toEqual([[], []])
  })

  it('refuses more rows than the shape holds, and shapes that are none', () => {
    const shape = { perDevice: 2, accumulation: 1, worldSize: 1, rank: 0 }
    for (const wrong of [{}, { rank: 1 }, { rank: -1 }, { perDevice: 0 }, { accumulation: 1.5 }]) {
      const rows = Object.keys(wrong).length === 0 ? [1, 2, 3] : [1]
      expect(() => splitGlobalBatch(rows, { ...shape, ...wrong })).toThrow(RangeError)
    }
  })
})
