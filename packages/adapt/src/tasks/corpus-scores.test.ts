// Counted by hand; the functions also give sacrebleu's own published examples to all their digits.
import { describe, expect, it } from 'vitest'
import { standardError } from './aggregate.js'
import { corpusBleu, corpusChrf, type WrittenPair } from './corpus-scores.js'

describe('corpusBleu', () => {
  it.each<[string, WrittenPair[], number]>([
    ['one word of five is wrong', [['a b c d e', 'a b c d f']], (4 / 5) * (3 / 4) * (2 / 3) * (1 / 2)],
    [
      'orders without a match count 1/2, then 1/4',
      [['a b c d', 'a b x y']],
      (2 / 4) * (1 / 3) * (1 / 4) * (1 / 4),
    ],
    [
      'what is written more often than it is right',
      [['a b c d', 'a a a a b']],
      (2 / 5) * (1 / 4) * (1 / 6) * (1 / 8),
    ],
    ['of several right texts each n-gram counts', [[['a b c d', 'x y c d'], 'a b c d']], 1],
    [
      'counts of all documents together',
      [
        ['a b c d', 'a b c d'],
        ['e f g h', 'e f x y'],
      ],
      (6 / 8) * (4 / 6) * (2 / 4) * (1 / 2),
    ],
    ['too short for four words', [['a b c', 'a b c']], 0],
    ['nothing is right', [['a b c d', 'e f g h']], 0],
    ['nothing is written', [['a b c d', '']], 0],
  ])('%s', (_, pairs, product) => {
    expect(corpusBleu(pairs)).toBeCloseTo(100 * product ** (1 / 4), 10)
  })

  it('is less for a corpus that is shorter than the nearest right texts', () => {
    expect(corpusBleu([['a b c d e f', 'a b c d']])).toBeCloseTo(100 * Math.exp(1 - 6 / 4), 10)
    expect(corpusBleu([[['a b c d e f', 'a b c d e'], 'a b c d']])).toBeCloseTo(100 * Math.exp(1 - 5 / 4), 10)
  })

  it.each([
    ['no, (x) a/b "q" 3-4 x-y.', 'no , ( x ) a / b " q " 3 - 4 x-y .'],
    ['one &quot;two&quot; &amp; three\nfour', 'one " two " & three four'],
    ['end 5. ', 'end 5 .'],
  ])('cuts %j as %j', (text, words) => {
    expect(corpusBleu([[`${words} p q r`, `${text} p q r`]])).toBeCloseTo(100, 10)
  })
})

it('cuts neither numbers nor words with an apostrophe', () => {
  expect(corpusBleu([["don ' t pay 1 , 200 . 5", "don't pay 1,200.5"]])).toBeLessThan(50)
})

describe('corpusChrf', () => {
  const score = (p: number, r: number) => (100 * 5 * p * r) / (4 * p + r)
  it.each<[string, WrittenPair[], number]>([
    ['more is written than is right', [['abc', 'ab cd']], score((3 / 4 + 2 / 3 + 1 / 2) / 3, 1)],
    ['the best of several right texts', [[['xyz', 'abc'], 'abc']], 100],
    [
      'of all documents together',
      [
        ['ab', 'ab'],
        ['cd', 'ce'],
      ],
      score((3 / 4 + 1 / 2) / 2, (3 / 4 + 1 / 2) / 2),
    ],
    ['nothing is written', [['abc', '']], 0],
  ])('%s', (_, pairs, expected) => {
    expect(corpusChrf(pairs)).toBeCloseTo(expected, 10)
  })
})

it('the standard error of both is that of a hundred draws', () => {
  const pairs: WrittenPair[] = ['a b c d', 'a b c e', 'a b x y', 'q r s t'].map((text) => ['a b c d', text])
  for (const name of ['bleu', 'chrf']) {
    const error = standardError(name, pairs, 100_000)
    expect(error).toBeGreaterThan(1)
    expect(error).toBe(standardError(name, pairs, 100))
    expect(error).not.toBe(standardError(name, pairs, 50))
  }
})
