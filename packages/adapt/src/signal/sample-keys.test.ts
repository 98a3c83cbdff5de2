import { describe, expect, it } from 'vitest'
import type { SampleOrigin } from '../tokenize/index.js'
import { sampleKeys } from './sample-keys.js'

function dataOf(names: readonly (readonly [path: string, id: string])[]) {
  return {
    numSamples: names.length,
    origin: (index: number): SampleOrigin => {
      const [path, id] = names[index]!
      return { index, id, path, source: 's', weight: 1, line: 1 }
    },
  }
}

const NAMES = Array.from({ length: 4000 }, (_, i) => ['a.jsonl', `doc-${i}`] as const)

describe('sampleKeys', () => {
  it('belong to the sample: order, and samples that are there besides, do not matter', () => {
    const whole = sampleKeys(dataOf(NAMES), 7)
    const part = sampleKeys(dataOf(NAMES.filter((_, i) => i % 3 === 0).reverse()), 7)
    const expected = [...whole].filter((_, i) => i % 3 === 0).reverse()
    expect([...part]).toEqual(expected)
  })

  it('are spread evenly over [0, 1), and other ones under another seed', () => {
    const keys = sampleKeys(dataOf(NAMES), 7)
    const counts = new Array<number>(10).fill(0)
    for (const key of keys) counts[Math.floor(key * 10)]! += 1
    for (const count of counts) expect(Math.abs(count - 400)).toBeLessThan(100)
    const others = sampleKeys(dataOf(NAMES), 8)
    expect(keys.filter((key, i) => key === others[i]).length).toBe(0)
    const product = keys.reduce((sum, key, i) => sum + (key - 0.5) * (others[i]! - 0.5), 0) / keys.length
    expect(Math.abs(product)).toBeLessThan(0.006)
  })

  it('tell samples apart that have one id: in several files, or in one', () => {
    const same = dataOf([...Array.from({ length: 500 }, () => ['a', '0'] as const), ['b', '0'], ['c', '1']])
    const keys = sampleKeys(same, 0)
    expect(new Set(keys).size).toBe(502)
    const early = keys.slice(0, 250).filter((key) => key < 0.5).length
    expect(Math.abs(early - 125)).toBeLessThan(30)
  })
})
