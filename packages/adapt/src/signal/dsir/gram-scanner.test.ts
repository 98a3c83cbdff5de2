import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openGolden } from '../../model/golden.test.fixture.js'
import { GramScanner } from './gram-scanner.js'
import { Sha256Remainder } from './sha256-remainder.js'

function bucketsOf(scanner: GramScanner, text: string): number[] {
  const { numGrams } = scanner.scan(text)
  return [...scanner.bucket.subarray(0, numGrams)].sort((a, b) => a - b)
}

const expected = (gram: string, buckets: number) =>
  Number(BigInt(`0x${createHash('sha256').update(gram).digest('hex')}`) % BigInt(buckets))

describe('Sha256Remainder', () => {
  it('gives what the hash of any length leaves, message after message', () => {
    for (const modulus of [1, 7, 10_000, 2 ** 18]) {
      const sha256 = new Sha256Remainder(modulus)
      for (const length of [0, 1, 3, 54, 55, 56, 63, 64, 65, 119, 120, 200]) {
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length) & 0xff)
        sha256.begin()
        for (const byte of bytes) sha256.push(byte)
        const hash = createHash('sha256').update(bytes).digest('hex')
        expect(sha256.end()).toBe(Number(BigInt(`0x${hash}`) % BigInt(modulus)))
      }
    }
  })
})

describe('GramScanner', () => {
  it('gives the worked buckets', () => {
    const scanner = new GramScanner(2, 10_000)
    expect(bucketsOf(scanner, 'Alice')).toEqual([6720])
    expect(bucketsOf(scanner, 'THE')).toEqual([8288])
    expect(bucketsOf(scanner, 'alice went')).toContain(114)
    expect(bucketsOf(scanner, 'the store')).toContain(3440)
    expect(scanner.scan('Alice went to the store')).toEqual({ numTokens: 5, numGrams: 9 })
  })

  it('agrees with the reference on words and marks of every kind, again when they are remembered', () => {
    const { texts, lengths, buckets } = openGolden<{
      readonly texts: readonly string[]
      readonly lengths: readonly number[]
      readonly buckets: readonly (readonly number[])[]
    }>('dsir').values
    const scanner = new GramScanner(2, 10_000)
    for (let round = 0; round < 2; round++) {
      expect(texts.map((text) => scanner.scan(text).numTokens)).toEqual(lengths)
      expect(texts.map((text) => bucketsOf(scanner, text))).toEqual(buckets)
    }
  })

  it('hashes long words, characters outside the first plane, and half of one', () => {
    const long = 'é'.repeat(300)
    const scanner = new GramScanner(2, 10_000)
    expect(bucketsOf(scanner, long)).toEqual([expected(long, 10_000)])
    expect(bucketsOf(scanner, '🙂')).toEqual([expected('🙂', 10_000)])
    // What no encoding has is the replacement character.
    expect(bucketsOf(scanner, '\ud83d')).toEqual([expected('\ufffd', 10_000)])
    expect(bucketsOf(scanner, '\ude42')).toEqual([expected('\ufffd', 10_000)])
  })

  it('reads texts of any length', () => {
    const scanner = new GramScanner(3, 10_000)
    expect(scanner.scan('')).toEqual({ numTokens: 0, numGrams: 0 })
    expect(scanner.scan('a')).toEqual({ numTokens: 1, numGrams: 1 })
    expect(scanner.scan('a '.repeat(5000))).toEqual({ numTokens: 5000, numGrams: 14_997 })
  })
})
