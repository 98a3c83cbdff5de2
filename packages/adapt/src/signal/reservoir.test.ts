import { scope, tensor } from '@adapt-ts/torch'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Reservoir } from './reservoir.js'

const rowsOf = (values: readonly number[]) =>
  tensor(Float32Array.from(values.flatMap((v) => [v, -v])), [values.length, 2])
const push = (reservoir: Reservoir, values: readonly number[]) => scope(() => reservoir.push(rowsOf(values)))
const read = (reservoir: Reservoir): number[] =>
  scope(() => [...(reservoir.rows()?.toFloat32Array() ?? [])].filter((_, i) => i % 2 === 0))

describe('Reservoir', () => {
  it('is empty at first', () => {
    const reservoir = new Reservoir(4)
    expect([reservoir.rows(), reservoir.mean(), reservoir.size]).toEqual([undefined, undefined, 0])
  })

  it('overwrites the oldest', () => {
    const reservoir = new Reservoir(4)
    push(reservoir, [1, 2, 3])
    expect(read(reservoir)).toEqual([1, 2, 3])
    push(reservoir, [4, 5, 6])
    expect(read(reservoir)).toEqual([5, 6, 3, 4])
    expect(scope(() => [...reservoir.mean()!.toFloat32Array()])).toEqual([4.5, -4.5])
    reservoir.dispose()
  })

  it('holds the last rows whatever the sizes of the pushes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 8 }),
        (capacity, counts) => {
          const reservoir = new Reservoir(capacity)
          let next = 1
          for (const count of counts)
            push(
              reservoir,
              Array.from({ length: count }, () => next++),
            )
          const total = next - 1
          const last = Array.from({ length: Math.min(capacity, total) }, (_, i) => total - i)
          expect(read(reservoir).sort((a, b) => b - a)).toEqual(last)
          reservoir.dispose()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('continues from its state, and the copy is its own', () => {
    const reservoir = new Reservoir(3)
    push(reservoir, [1, 2, 3, 4])
    const copy = new Reservoir(3)
    copy.load(reservoir.state())
    push(reservoir, [5])
    expect(read(copy).sort()).toEqual([2, 3, 4])
    push(copy, [5])
    expect(read(copy)).toEqual(read(reservoir))
    reservoir.dispose()
    expect(read(copy).sort()).toEqual([3, 4, 5])
    copy.dispose()
  })

  it('remembers the sources beside the rows, through its state, and says none where one is missing', () => {
    const reservoir = new Reservoir(4)
    scope(() => reservoir.push(rowsOf([1, 2, 3]), [7, 8, 9]))
    expect([...reservoir.sources()!]).toEqual([7, 8, 9])
    scope(() => reservoir.push(rowsOf([4, 5, 6, 7, 8]), [1, 2, 3, 4, 5]))
    const copy = new Reservoir(4)
    copy.load(reservoir.state())
    for (const one of [reservoir, copy]) {
      const pairs = read(one).map((row, i) => [row, one.sources()![i]])
      expect(pairs.sort()).toEqual([5, 6, 7, 8].map((row) => [row, row - 3]))
    }
    push(copy, [9])
    expect(copy.sources()).toBeUndefined()
    reservoir.dispose()
    copy.dispose()
  })
})
