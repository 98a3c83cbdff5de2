import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createStream } from '../batch/index.js'
import type { RunFacts, StepFacts } from '../method/contract.js'
import type { OptionsOf } from '../method/option-table.js'
import { type PickOptions, pickTop } from './pick-top.js'
import { markTop, topFraction } from './top-fraction.js'

type Options = OptionsOf<typeof topFraction.options>
const DEFAULTS: Options = { keep: 0.1, end: 'highest', ties: 'place', balanced: false, shareOf: 'all' }

function weightsOf(
  scores: readonly number[],
  options: Partial<Options>,
  source: readonly number[] = [],
): number[] {
  const gate = topFraction.create({ ...DEFAULTS, ...options }, {} as RunFacts)
  return scope(() => {
    const score = tensor(Float32Array.from(scores), [scores.length])
    const of = {
      score,
      index: scores.map((_, i) => i),
      labels: new Float64Array(scores.length).fill(1),
      get source() {
        if (source.length === 0) throw new Error('no one asked for sources')
        return Uint16Array.from(source)
      },
    }
    return [...gate.weights(of, {} as StepFacts).toFloat32Array()]
  })
}

describe('topFraction', () => {
  it('weighs the units it keeps with 1 and the others with 0', () => {
    expect(weightsOf([0.31, 0.07, 0.92, 0.55, 0.12], { keep: 0.4, end: 'lowest' })).toEqual([0, 1, 0, 0, 1])
    expect(weightsOf([0.5, -0.2, 0.8, 2], { keep: 0.5 })).toEqual([0, 0, 1, 1])
    expect(weightsOf([1, 0.05, 0.1, 0.8, -0.5, -0.1], { keep: 0.6, ties: 'all' })).toEqual([1, 0, 1, 1, 0, 0])
  })

  it('keeps one of a single unit, and asks for no sources unless it balances them', () => {
    expect(weightsOf([-3], { keep: 0.01 })).toEqual([1])
    expect(weightsOf([], { keep: 0.5 })).toEqual([])
    expect(() => weightsOf([1, 2], { balanced: true })).toThrow('no one asked')
  })

  it('keeps equally many of each source when it balances them', () => {
    expect(weightsOf([4, 3, 2, 1], { keep: 0.5, balanced: true }, [0, 0, 0, 1])).toEqual([1, 0, 0, 1])
    // Of three units one, of one the only one.
    expect(weightsOf([4, 3, 2, 1], { keep: 0.5, shareOf: 'source' }, [0, 0, 0, 1])).toEqual([1, 0, 0, 1])
    expect(weightsOf([1, 2, 9, 8], { keep: 0.5, shareOf: 'source' }, [0, 0, 1, 1])).toEqual([0, 1, 1, 0])
    expect(weightsOf([1, 2, 9, 8], { keep: 0.5 }, [0, 0, 1, 1])).toEqual([0, 0, 1, 1])
  })

  it('passes on that a score is not a number', () => {
    expect(weightsOf([Number.NaN, 2, 1], { keep: 0.34 })).toEqual([Number.NaN, 1, 0])
  })

  it('draws as many candidates as leave one row for each row that is trained', () => {
    expect(topFraction.candidates!({ ...DEFAULTS, keep: 0.25 })).toBe(4)
    expect(topFraction.needs!({ ...DEFAULTS, balanced: true })).toEqual({ sources: 2 })
    expect(topFraction.needs!(DEFAULTS)).toEqual({})
  })
})

describe('markTop', () => {
  const found = (scores: Float32Array, count: number, options: PickOptions) =>
    scope(() => [...markTop(tensor(scores, [scores.length]), count, options).toFloat32Array()])

  it.each([
    ...(['highest', 'lowest'] as const).flatMap((end) =>
      (['place', 'all'] as const).map((ties) => ({ end, ties })),
    ),
    { end: 'middle' } as const,
  ])('picks what the host picks, with ties, infinities and NaN: %o', (options) => {
    const next = createStream([3])
    const special = [Infinity, -Infinity, Number.NaN, 0, -0]
    for (let round = 0; round < 200; round++) {
      const length = 1 + (next() % 40)
      const scores = Float32Array.from({ length }, () =>
        next() % 5 === 0 ? special[next() % special.length]! : ((next() % 9) - 4) / 2,
      )
      const count = 1 + (next() % length)
      expect(found(scores, count, options), String(scores)).toEqual([...pickTop(scores, count, options)])
    }
  })
})
