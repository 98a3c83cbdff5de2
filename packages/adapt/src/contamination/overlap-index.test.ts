import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contentHash } from './normalise-text.js'
import { type OverlapCounts, OverlapIndex, type PlacedText } from './overlap-index.js'
import { WholeTexts } from './whole-texts.js'
import { wordsOf } from './word-scanner.js'

const numbered = (texts: readonly string[], file: string): PlacedText[] =>
  texts.map((text, i) => ({ place: `${file}:${i + 1}`, text }))

function overlap(items: readonly string[], documents: readonly string[]): OverlapCounts {
  const index = new OverlapIndex()
  for (const item of numbered(items, 'items')) index.add('set', item)
  for (const document of numbered(documents, 'data')) index.match(document)
  return index.counts()[0]!
}

/** What the counts should be, by comparing every window of every pair. */
function slowOverlap(items: readonly string[], documents: readonly string[]) {
  const windows = (words: readonly string[], n: number) =>
    words.slice(n - 1).map((_, i) => words.slice(i, i + n).join(' '))
  const matches = (item: string, document: string) => {
    const words = wordsOf(item)
    if (words.length < 8) return false
    const n = Math.min(13, words.length)
    const mine = new Set(windows(words, n))
    return windows(wordsOf(document), n).some((window) => mine.has(window))
  }
  const same = (a: string, b: string) => contentHash(a) !== undefined && contentHash(a) === contentHash(b)
  return {
    shared: items.filter((item) => documents.some((document) => matches(item, document))).length,
    duplicates: items.filter((item) => documents.some((document) => same(item, document))).length,
    documents: documents.filter((document) =>
      items.some((item) => matches(item, document) || same(item, document)),
    ).length,
  }
}

const words = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => `w${first + i}`).join(' ')

describe('wordsOf', () => {
  it('takes runs of letters, digits, marks and underscores in lower case', () => {
    expect(wordsOf('The "Quick"_fox--jumps, 3.5 élan!')).toEqual([
      'the',
      'quick',
      '_fox',
      'jumps',
      '3',
      '5',
      'élan',
    ])
    expect(wordsOf('')).toEqual([])
    expect(wordsOf('a😀b')).toEqual(['a', 'b'])
  })
})

describe('OverlapIndex', () => {
  it('finds 13 words in a row whatever stands between and around them, and not 12', () => {
    const item = `${words(100, 4)} ${words(0, 13)} ${words(200, 4)}`
    const shouted = words(0, 13).toUpperCase().replaceAll(' ', ', ')
    expect(overlap([item], [`x ${shouted} y`])).toMatchObject({
      items: 1,
      comparable: 1,
      shared: 1,
      documents: 1,
    })
    expect(overlap([item], [`x ${words(0, 12)} y`])).toMatchObject({ shared: 0, documents: 0 })
  })

  it('finds an item of 8 to 12 words only whole, and a shorter one only as a duplicate', () => {
    expect(overlap([words(0, 9)], [`x ${words(0, 9)} y`])).toMatchObject({ comparable: 1, shared: 1 })
    expect(overlap([words(0, 9)], [`x ${words(0, 8)} y`])).toMatchObject({ shared: 0 })
    expect(overlap([words(0, 7)], [`x ${words(0, 7)} y`])).toMatchObject({ comparable: 0, shared: 0 })
    expect(overlap([words(0, 7)], [` ${words(0, 7).toUpperCase()}\n`])).toMatchObject({
      comparable: 0,
      duplicates: 1,
      documents: 1,
    })
  })

  it('counts items and documents by group, each once, with places', () => {
    const index = new OverlapIndex()
    for (const item of numbered([words(0, 14), words(50, 14)], 'a')) index.add('anchors', item)
    for (const item of numbered([words(0, 20), words(90, 14), words(0, 13)], 'e')) index.add('held-out', item)
    for (const document of numbered([words(0, 30), 'nothing', words(0, 30), words(90, 14)], 'd'))
      index.match(document)
    const [anchors, heldOut] = index.counts()
    expect(anchors).toMatchObject({ group: 'anchors', items: 2, shared: 1, duplicates: 0, documents: 2 })
    expect(heldOut).toMatchObject({ group: 'held-out', items: 3, shared: 3, duplicates: 1, documents: 3 })
    expect(anchors!.examples).toEqual([
      { kind: 'shared words', item: 'a:1', document: 'd:1', text: words(0, 13) },
    ])
    expect(heldOut!.examples.at(-1)).toMatchObject({ kind: 'duplicate', item: 'e:2', document: 'd:4' })
  })

  it('counts every document for every group, however many items have the words in common', () => {
    const index = new OverlapIndex()
    for (const group of ['a', 'b', 'b', 'c', 'b', 'c', 'c'])
      index.add(group, { place: group, text: words(0, 15) })
    for (let i = 0; i < 3; i++) index.match({ place: 'd', text: `x ${words(0, 13)} ${i}` })
    expect(index.counts().map(({ group, shared, documents }) => [group, shared, documents])).toEqual([
      ['a', 1, 3],
      ['b', 3, 3],
      ['c', 3, 3],
    ])
  })

  it('agrees with comparing every pair of texts', () => {
    // Few words, so that windows repeat within and between texts.
    const text = fc
      .array(fc.constantFrom('a', 'b', 'B', 'c,'), { maxLength: 40 })
      .map((list) => list.join(' '))
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 6 }),
        fc.array(text, { maxLength: 6 }),
        (items, documents) => {
          expect(overlap(items, documents)).toMatchObject(slowOverlap(items, documents))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('finds one item among tens of thousands', () => {
    const items = Array.from({ length: 20_000 }, (_, i) => words(i * 40, 20))
    expect(overlap(items, [words(40 * 777 + 3, 15), words(1e7, 400)])).toMatchObject({
      shared: 1,
      documents: 1,
    })
  })
})

describe('WholeTexts', () => {
  it('finds a text however it is written, by its start or not', () => {
    const texts = ['Stra\u00dfe im Regen, und mehr', `a${' '.repeat(100)}b c d e f g h i j k`, 'ab', ' \n']
    const wholes = new WholeTexts()
    for (const [i, text] of texts.entries()) wholes.add(text, i)
    expect(wholes.find('\n STRA\u00dfE  im regen,\tund MEHR ')).toEqual([0])
    expect(wholes.find('A b C d E f G h I j K')).toEqual([1])
    expect(wholes.find(`${'\n'.repeat(80)}AB`)).toEqual([2])
    expect(wholes.find(' ')).toEqual([])
    expect(wholes.find('abc')).toEqual([])
  })

  it('turns nothing away that has the same hash', () => {
    const part = fc.constantFrom('a', 'B', 'é', 'e\u0301', 'Σ', ' ', '\n', ' '.repeat(30), 'word')
    const text = fc.array(part, { maxLength: 40 }).map((list) => list.join(''))
    fc.assert(
      fc.property(text, (written) => {
        const wholes = new WholeTexts()
        wholes.add(written, 7)
        const other = written.normalize('NFD').replace(/ /g, '  ')
        if (contentHash(written) === undefined) expect(wholes.find(other)).toEqual([])
        else if (contentHash(other) === contentHash(written)) expect(wholes.find(other)).toEqual([7])
      }),
      { numRuns: 500 },
    )
  })
})

describe('contentHash', () => {
  it('sees through capitals, white space and the way accents are written, and nothing else', () => {
    expect(contentHash(' Caf\u00e9\n\tbar ')).toBe(contentHash('cafe\u0301 BAR'))
    expect(contentHash('a.b')).not.toBe(contentHash('a b'))
    expect(contentHash(' \n ')).toBeUndefined()
  })
})
