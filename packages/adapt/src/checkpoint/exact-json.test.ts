import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromExactJson, toExactJson } from './exact-json.js'

describe('exact JSON', () => {
  it('gives back every double, in lists and mappings', () => {
    const value = fc.dictionary(fc.string(), fc.array(fc.double()))
    fc.assert(
      fc.property(value, (wanted) => {
        const read = fromExactJson(toExactJson(wanted)) as Record<string, number[]>
        for (const [key, numbers] of Object.entries(wanted)) {
          expect(numbers.every((number, i) => Object.is(number, read[key]![i]))).toBe(true)
        }
      }),
    )
  })

  it('leaves texts that look like numbers alone', () => {
    const value = { a: 'NaN', b: '-0', c: [null, true, 'Infinity'] }
    expect(fromExactJson(toExactJson(value))).toEqual(value)
  })
})
