import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import type { MixedDataset } from './plan-mixing.js'
import type { RowCursor, SampleCursor } from './row-cursor.js'
import { createRowStream, type RowStreamOptions } from './row-stream.js'
import type { SampleDraw } from './sample-stream.js'

const MAX_LENGTH = 32
const SIZE = 24

const dataset: MixedDataset = {
  numSamples: SIZE,
  sources: ['a', 'b'],
  sourceIndex: (i) => i % 2,
  length: (i) => 1 + ((i * i * 7 + 3 * i) % MAX_LENGTH),
}

const optionsOf = (packing: boolean, seed = 5): RowStreamOptions => ({
  ...{ dataset, seed, maxLength: MAX_LENGTH, packing, windowSize: 16 },
})

const drawOf = (weights: readonly number[], number = 0, replacement = false): SampleDraw => ({
  ...{ number, weight_P: Float32Array.from(weights), replacement },
})

const even = (n: number) => new Array<number>(SIZE).fill(n)

const resumed = (packing: boolean, cursor: RowCursor) =>
  createRowStream({ ...optionsOf(packing), cursor: JSON.parse(JSON.stringify(cursor)) as RowCursor })

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return (error as AdaptError).code
  }
  throw new Error('expected an error')
}

describe('a draw of samples', () => {
  it('takes each sample with a weight once in a pass, and no other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: SIZE, maxLength: SIZE }),
        fc.boolean(),
        (weights, packing) => {
          const wanted = weights.flatMap((w, i) => (w > 0 ? [i] : []))
          fc.pre(wanted.length > 0)
          const stream = createRowStream(optionsOf(packing))
          const samples: number[] = []
          while (samples.length < 3 * wanted.length)
            samples.push(...stream.next(3, { draw: drawOf(weights) }).rows.flat())
          // Within a step packing puts them in another order.
          if (!packing)
            for (const pass of [0, 1, 2])
              expect(
                samples.slice(pass * wanted.length, (pass + 1) * wanted.length).sort((a, b) => a - b),
              ).toEqual(wanted)
          expect(samples.every((sample) => weights[sample]! > 0)).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('takes first each sample as often as its weight says, and then as those that are left say', () => {
    const weights = [6, 3, 1, ...new Array<number>(SIZE - 3).fill(0)]
    const draws = 20_000
    const first = [0, 0, 0]
    let swapped = 0
    for (let number = 0; number < draws; number++) {
      const stream = createRowStream(optionsOf(false))
      const [a, b] = stream.next(2, { draw: drawOf(weights, number) }).rows.flat() as [number, number]
      first[a]! += 1
      if (a === 2 && b === 0) swapped += 1
    }
    // Three standard deviations of a share are at most 0.011.
    for (const [i, share] of [0.6, 0.3, 0.1].entries())
      expect(Math.abs(first[i]! / draws - share)).toBeLessThan(0.011)
    // 0.1 of 6 against 3.
    expect(Math.abs(swapped / draws - 0.1 * (6 / 9))).toBeLessThan(0.006)
  })

  it('with replacement takes every sample its share of any samples in a row within two', () => {
    const weights = even(0).map((_, i) => (i % 3 === 0 ? 5 : i % 3))
    const total = weights.reduce((a, b) => a + b)
    const stream = createRowStream(optionsOf(false))
    const counts = even(0)
    for (let n = 1; n <= 300; n++) {
      counts[stream.next(1, { draw: drawOf(weights, 0, true) }).rows[0]![0]!]! += 1
      for (const [i, w] of weights.entries()) expect(Math.abs(counts[i]! - (n * w) / total)).toBeLessThan(2)
    }
  })

  it('goes on from any cursor as if it had not been left, across a new draw, packed or not', () => {
    for (const packing of [false, true]) {
      for (const replacement of [false, true]) {
        const drawAt = (step: number) => {
          const number = Math.floor(step / 4)
          const weights = even(0).map((_, i) => ((i + number) % 5 === 0 ? 4 : 1))
          return drawOf(weights, number, replacement)
        }
        const whole = createRowStream(optionsOf(packing))
        const steps = Array.from({ length: 12 }, (_, step) => {
          const { cursor } = whole
          return { cursor, step, ...whole.next(5, { draw: drawAt(step) }) }
        })
        const numRead = steps.flatMap(({ rows }) => rows).flat().length
        const { before, taken } = whole.cursor as SampleCursor
        expect(before + taken).toBe(numRead)
        for (const { cursor, step, rows, epoch } of steps) {
          const found = (step === 0 ? createRowStream(optionsOf(packing)) : resumed(packing, cursor)).next(
            5,
            {
              draw: drawAt(step),
            },
          )
          expect(found).toMatchObject({ rows, epoch })
          for (const row of rows)
            expect(row.reduce((sum, i) => sum + dataset.length(i), 0)).toBeLessThanOrEqual(MAX_LENGTH)
        }
      }
    }
  })

  it('is another one with another number, seed or pass', () => {
    const orderOf = (number: number, seed: number) =>
      createRowStream(optionsOf(false, seed))
        .next(2 * SIZE, { draw: drawOf(even(1), number) })
        .rows.flat()
    const one = orderOf(0, 5)
    expect(orderOf(0, 5)).toEqual(one)
    expect(orderOf(1, 5)).not.toEqual(one)
    expect(orderOf(0, 6)).not.toEqual(one)
    expect(one.slice(SIZE)).not.toEqual(one.slice(0, SIZE))
  })

  it('counts epochs on from the order that it left, and from the passes of sources', () => {
    for (const packing of [false, true]) {
      const stream = createRowStream(optionsOf(packing))
      const before = [...stream.next(4).rows, ...stream.next(3).rows].flat().length
      const { rows, epoch } = stream.next(2, { draw: drawOf(even(1), 7) })
      expect(epoch).toBe(Math.floor(before / SIZE))
      expect(stream.cursor).toEqual({ kind: 'samples', draw: 7, taken: rows.flat().length, before })
    }
    const bySource = createRowStream(optionsOf(false))
    bySource.next(30, { shares: [0.5, 0.5] })
    expect(bySource.next(20, { draw: drawOf(even(1)) })).toMatchObject({ epoch: 1, epochEnd: true })
    expect(bySource.cursor).toEqual({ kind: 'samples', draw: 0, taken: 20, before: 30 })
  })

  it('has no way back into the order or to shares of sources, and refuses weights that are none', () => {
    const stream = createRowStream(optionsOf(false))
    stream.next(2, { draw: drawOf(even(1)) })
    expect(codeOf(() => stream.next(1))).toBe('DRAW_STEERED')
    expect(codeOf(() => stream.next(1, { shares: [0.5, 0.5] }))).toBe('DRAW_STEERED')
    expect(codeOf(() => stream.next(1, { draw: drawOf(even(0), 1) }))).toBe('EMPTY_DRAW')
    for (const weights of [[1], [...even(1).slice(1), -1], [...even(1).slice(1), Number.NaN]])
      expect(() => stream.next(1, { draw: drawOf(weights, 2) })).toThrow(RangeError)
    for (const cursor of [
      { kind: 'samples', draw: 0, taken: -1, before: 0 },
      { kind: 'samples', draw: 0.5, taken: 0, before: 0 },
    ] as const)
      expect(codeOf(() => resumed(false, cursor))).toBe('CURSOR_OUT_OF_RANGE')
  })
})
