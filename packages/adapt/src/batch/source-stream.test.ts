import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import type { MixedDataset } from './plan-mixing.js'
import type { RowCursor } from './row-cursor.js'
import { createRowStream, type RowStream, type RowStreamOptions } from './row-stream.js'

const MAX_LENGTH = 32
const SOURCES = ['a', 'b', 'c']
const START: RowCursor = { kind: 'sources', drawn: [0, 0, 0] }

/** Samples of three sources in turn over a random list; lengths 1..MAX_LENGTH that differ by source. */
function datasetOf(sourceOf: readonly number[], sources = SOURCES): MixedDataset {
  return {
    numSamples: sourceOf.length,
    sources,
    sourceIndex: (i) => sourceOf[i]!,
    length: (i) => 1 + ((i * i * 7 + 3 * i) % [32, 10, 20][sourceOf[i]!]!),
  }
}

const spread = (n: number): number[] => Array.from({ length: n }, (_, i) => [0, 1, 0, 2, 0, 1][i % 6]!)

const optionsOf = (dataset: MixedDataset, packing: boolean): RowStreamOptions => ({
  dataset,
  seed: 5,
  maxLength: MAX_LENGTH,
  packing,
  windowSize: 16,
})

const resumed = (options: RowStreamOptions, cursor: RowCursor): RowStream =>
  createRowStream({ ...options, cursor: JSON.parse(JSON.stringify(cursor)) as RowCursor })

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return (error as AdaptError).code
  }
  throw new Error('expected an error')
}

/** Shares from weights of which at least one is above 0. */
const shares = fc
  .array(fc.integer({ min: 0, max: 9 }), { minLength: 3, maxLength: 3 })
  .filter((list) => list.some((n) => n > 0))
  .map((list) => list.map((n) => n / list.reduce((a, b) => a + b, 0)))

describe('a steered draw', () => {
  it('reads each sample of a source once in every pass over it, whatever the shares were', () => {
    fc.assert(
      fc.property(
        fc.array(shares, { minLength: 30, maxLength: 30 }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        (policy, numRows, packing) => {
          const dataset = datasetOf(spread(24))
          const stream = createRowStream(optionsOf(dataset, packing))
          // In the order of the draw: packing sorts within a step, so passes are compared without order.
          const read: number[][] = SOURCES.map(() => [])
          for (const wanted of policy) {
            for (const sample of stream.next(numRows, { shares: wanted }).rows.flat()) {
              read[dataset.sourceIndex(sample)]!.push(sample)
            }
            const counts = read.map((list) => list.length)
            expect(stream.cursor).toEqual({ kind: 'sources', drawn: counts })
          }
          for (const [source, list] of read.entries()) {
            const times = Array.from({ length: 24 }, (_, i) => list.filter((s) => s === i).length)
            const own = times.filter((_, i) => dataset.sourceIndex(i) === source)
            expect(Math.max(...own) - Math.min(...own)).toBeLessThanOrEqual(1)
          }
        },
      ),
    )
  })

  it('goes on exactly from every cursor, with shares that change in every step', () => {
    fc.assert(
      fc.property(
        fc.array(shares, { minLength: 12, maxLength: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        (policy, numRows, packing) => {
          const options = optionsOf(datasetOf(spread(50)), packing)
          const stream = createRowStream(options)
          const cursors: RowCursor[] = []
          const steps = policy.map((wanted) => {
            cursors.push(stream.cursor)
            return stream.next(numRows, { shares: wanted })
          })
          for (const [k, cursor] of cursors.entries()) {
            const again = resumed(options, cursor)
            expect(policy.slice(k).map((wanted) => again.next(numRows, { shares: wanted }))).toEqual(
              steps.slice(k),
            )
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  it('gives every source its share of the tokens', () => {
    const dataset = datasetOf(spread(600))
    for (const packing of [true, false]) {
      for (const wanted of [
        [0.2, 0.5, 0.3],
        [0.98, 0.01, 0.01],
        [0, 1, 0],
        [1 / 3, 1 / 3, 1 / 3],
      ]) {
        const stream = createRowStream(optionsOf(dataset, packing))
        const tokens = SOURCES.map(() => 0)
        for (let step = 0; step < 400; step++) {
          for (const sample of stream.next(8, { shares: wanted }).rows.flat()) {
            tokens[dataset.sourceIndex(sample)]! += dataset.length(sample)
          }
        }
        const total = tokens.reduce((a, b) => a + b, 0)
        for (const [g, share] of wanted.entries()) {
          expect(Math.abs(tokens[g]! / total - share)).toBeLessThan(share === 0 ? 1e-12 : 0.01)
        }
      }
    }
  })

  it('is never more than a few samples away from the shares, from any place on', () => {
    fc.assert(
      fc.property(
        shares,
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 0, max: 1000 }),
        (wanted, before, seed) => {
          // Samples of one length: shares of tokens and of samples are the same.
          const dataset = { ...datasetOf(spread(60)), length: () => MAX_LENGTH }
          const cursor: RowCursor = { kind: 'sources', drawn: [before, 0, 0] }
          const stream = createRowStream({ ...optionsOf(dataset, false), seed, cursor })
          const counts = SOURCES.map(() => 0)
          for (let n = 1; n <= 300; n++) {
            const [row] = stream.next(1, { shares: wanted }).rows
            counts[dataset.sourceIndex(row![0]!)]! += 1
            for (const [g, share] of wanted.entries())
              expect(Math.abs(counts[g]! - n * share)).toBeLessThan(3)
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  it('fills packed rows, never over, and leaves what does not fit to the next step', () => {
    const dataset = datasetOf(spread(600))
    const stream = createRowStream(optionsOf(dataset, true))
    const wanted = [0.5, 0.2, 0.3]
    let tokens = 0
    for (let step = 0; step < 100; step++) {
      const { rows } = stream.next(16, { shares: wanted })
      expect(rows.length).toBeLessThanOrEqual(16)
      for (const row of rows) {
        const width = row.reduce((sum, i) => sum + dataset.length(i), 0)
        expect(width).toBeLessThanOrEqual(MAX_LENGTH)
        tokens += width
      }
    }
    expect(tokens / (100 * 16 * MAX_LENGTH)).toBeGreaterThan(0.95)
    // Two samples that fill more than half a row each: one row takes one, and the other begins the next step.
    const long = { ...datasetOf([0, 0, 0, 0], ['a']), length: () => 20 }
    const narrow = createRowStream(optionsOf(long, true))
    const seen = Array.from({ length: 4 }, () => narrow.next(1, { shares: [1] }).rows)
    expect(seen.every((rows) => rows.length === 1 && rows[0]!.length === 1)).toBe(true)
    expect(new Set(seen.flat(2)).size).toBe(4)
  })

  it('gives the share of a source without samples to the others, in their proportions', () => {
    const dataset = datasetOf(spread(60).map((g) => (g === 1 ? 0 : g)))
    const options = optionsOf(dataset, false)
    const rowsOf = (wanted: readonly number[]) => createRowStream(options).next(50, { shares: wanted }).rows
    expect(rowsOf([0.3, 0.5, 0.2])).toEqual(rowsOf([0.6, 0, 0.4]))
    expect(codeOf(() => rowsOf([0, 1, 0]))).toBe('EMPTY_SHARES')
    for (const wrong of [
      [0.5, 0.5],
      [0.5, 0.6, 0.1],
      [1.5, -0.5, 0],
      [Number.NaN, 0, 1],
    ]) {
      expect(() => rowsOf(wrong)).toThrow(/shares: expected 3 numbers/)
    }
  })

  it('draws in the order of the documented sequence, which checkpoints rely on', () => {
    const dataset = datasetOf(spread(60))
    const wanted = [0.2, 0.5, 0.3]
    const samples = createRowStream(optionsOf(dataset, false)).next(24, { shares: wanted }).rows.flat()
    expect(samples).toEqual(DRAWN)
    // The sources once more: u_m in whole numbers, and its place among the shares of samples.
    const means = SOURCES.map((_, g) => {
      const own = spread(60).flatMap((source, i) => (source === g ? [dataset.length(i)] : []))
      return own.reduce((a, b) => a + b, 0) / own.length
    })
    const rates = wanted.map((share, g) => share / means[g]!)
    const total = rates.reduce((a, b) => a + b, 0)
    const fits = (first: bigint) =>
      samples.every((sample, m) => {
        const u = Number((first + BigInt(m) * 0x9e3779b9n) % 2n ** 32n) / 2 ** 32
        const source = u < rates[0]! / total ? 0 : u < (rates[0]! + rates[1]!) / total ? 1 : 2
        return source === dataset.sourceIndex(sample)
      })
    // u_0 is keyed; a thousand places of the range are enough to find where it lies.
    expect(Array.from({ length: 1000 }, (_, i) => (BigInt(i) * 2n ** 32n) / 1000n).some(fits)).toBe(true)
  })

  it('draws the same samples however many rows are asked for at once', () => {
    const options = optionsOf(datasetOf(spread(60)), false)
    const wanted = { shares: [0.2, 0.5, 0.3] }
    const one = createRowStream(options)
    const rows = Array.from({ length: 42 }, () => one.next(1, wanted).rows).flat()
    for (const numRows of [2, 7, 42]) {
      const stream = createRowStream(options)
      expect(Array.from({ length: 42 / numRows }, () => stream.next(numRows, wanted).rows).flat()).toEqual(
        rows,
      )
    }
  })

  it('counts an epoch for as many samples as there are', () => {
    const stream = createRowStream(optionsOf(datasetOf(spread(12)), false))
    const steps = Array.from({ length: 5 }, () => stream.next(5, { shares: [1, 0, 0] }))
    expect(steps.map(({ rows }) => rows.length)).toEqual([5, 5, 5, 5, 5])
    expect(steps.map(({ epoch, epochEnd }) => [epoch, epochEnd])).toEqual([
      [0, false],
      [0, false],
      [0, true],
      [1, false],
      [1, true],
    ])
  })

  it('takes over from the order with as many samples of each source as were read', () => {
    const dataset = datasetOf(spread(100))
    for (const mixing of ['natural', 'stratified', { a: 1, b: 5, c: 1 }] as const) {
      for (const packing of [true, false]) {
        const stream = createRowStream({ ...optionsOf(dataset, packing), mixing })
        const drawn = SOURCES.map(() => 0)
        const count = (rows: readonly (readonly number[])[]) => {
          for (const sample of rows.flat()) drawn[dataset.sourceIndex(sample)]! += 1
        }
        for (let step = 0; step < 23; step++) count(stream.next(7).rows)
        count(stream.next(3, { shares: [0.2, 0.2, 0.6] }).rows)
        expect(stream.cursor).toEqual({ kind: 'sources', drawn })
        expect(codeOf(() => stream.next(1))).toBe('DRAW_STEERED')
      }
    }
  })

  it('refuses cursors that are none of this data, and samples that are longer than a row', () => {
    const options = optionsOf(datasetOf(spread(12).map((g) => (g === 2 ? 0 : g))), true)
    for (const drawn of [[1, 2], [1, 2, 3], [1, -1, 0], [0.5, 0, 0], 'no']) {
      const cursor = { kind: 'sources', drawn } as RowCursor
      expect(codeOf(() => createRowStream({ ...options, cursor }))).toBe('CURSOR_OUT_OF_RANGE')
    }
    const wrongKind = { kind: 'else', drawn: [0, 0, 0] } as unknown as RowCursor
    expect(codeOf(() => createRowStream({ ...options, cursor: wrongKind }))).toBe('CURSOR_OUT_OF_RANGE')
    const long = { ...datasetOf(spread(6)), length: (i: number) => (i === 1 ? MAX_LENGTH + 1 : 4) }
    const next = () =>
      createRowStream({ ...optionsOf(long, false), cursor: START }).next(6, { shares: [0, 1, 0] })
    expect(codeOf(next)).toBe('SAMPLE_TOO_LONG')
  })
})

const DRAWN = [59, 41, 23, 47, 8, 13, 17, 51, 11, 35, 19, 29, 57, 53, 5, 7, 37, 36, 31, 25, 45, 1, 55, 49]
