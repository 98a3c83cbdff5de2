import { describe, expect, it } from 'vitest'
import { describeKept } from './describe-kept.js'

const dataOf = (sources: readonly string[], samples: readonly string[]) => ({
  sources,
  numSamples: samples.length,
  sourceIndex: (i: number) => sources.indexOf(samples[i]!),
})

describe('the line on what a preparation kept', () => {
  it('counts the samples of each source, though a source of which none is left has another number or none', () => {
    const pool = dataOf(
      ['web', 'code', 'math'],
      ['web', 'web', 'web', 'code', 'code', 'math', 'math', 'math'],
    )
    const kept = dataOf(['code', 'math'], ['code', 'code', 'math'])
    expect(describeKept(kept, pool)).toBe(
      'kept 3 of 8 (37.5 %) samples: code 2 of 2 (100.0 %), math 1 of 3 (33.3 %), web 0 of 3 (0.0 %)',
    )
  })

  it('names no more than eight sources', () => {
    const names = Array.from({ length: 11 }, (_, i) => `s${i}`)
    const line = describeKept(dataOf(['s3'], ['s3']), dataOf(names, names))
    expect(line).toMatch(/^kept 1 of 11 \(9\.1 %\) samples: s3 1 of 1 \(100\.0 %\), .*, and 3 sources more$/)
  })
})
