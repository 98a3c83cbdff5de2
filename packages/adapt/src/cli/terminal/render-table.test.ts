import { describe, expect, it } from 'vitest'
import { renderTable, wrapLines } from './render-table.js'

const columns = [
  { heading: 'source' },
  { heading: 'place', canShorten: true },
  { heading: 'tokens', isNumeric: true },
]
const widest = (table: string) => Math.max(...table.split('\n').map((line) => line.length))

describe('a table', () => {
  it('fits 80 columns: long names are shortened in the middle, where both ends still tell them apart', () => {
    const name = (n: number) => `${'a-source-with-a-very-long-name-'.repeat(4)}${n}`
    const table = renderTable(columns, [
      [name(1), 'x'.repeat(50), '1,234,567'],
      [name(2), 'short', '1'],
    ])
    expect(widest(table)).toBe(80)
    expect(table).toMatch(/^a-source\S+…\S+name-1 +x+…x+ +1,234,567$/m)
    expect(table).toMatch(/name-2 +short +1$/m)
  })

  it('leaves names alone that fit, and never cuts a number or a verdict', () => {
    expect(renderTable(columns, [['web', 'a.jsonl', '12']])).toBe(
      'source  place    tokens\nweb     a.jsonl      12\n',
    )
    const digits = '9'.repeat(90)
    expect(renderTable(columns, [['web', 'a.jsonl', digits]])).toContain(digits)
    const verdict = 'in words '.repeat(11)
    expect(renderTable([{ heading: 'arm' }, { heading: 'verdict' }], [['a', verdict]])).toContain(
      verdict.trim(),
    )
  })

  it('that is too wide all the same keeps names of common length whole', () => {
    const digits = '9'.repeat(90)
    const table = renderTable(columns, [
      ['adapt-calibrated', 'a.jsonl', digits],
      ['x'.repeat(200), 'a.jsonl', digits],
    ])
    expect(table).toMatch(/^adapt-calibrated +a\.jsonl/m)
    expect(table).toMatch(/^x{12}…x{11} /m)
  })

  it('holds each row in one line, whatever others named', () => {
    expect(renderTable([{ heading: 'source' }], [['a\nerror: b\u001b[2J']])).toBe(
      'source\na\\u{a}error: b\\u{1b}[2J\n',
    )
  })
})

describe('lines of words', () => {
  it('are broken at 80 columns and set in; a path stays whole', () => {
    const path = `/${'folder/'.repeat(15)}`
    const text = wrapLines(`memory  ${'some words '.repeat(10)}${path}\nshort`, 4)
    expect(text.split('\n').map((line) => line.length <= 80)).toEqual([true, true, false, true])
    expect(text).toMatch(/^memory {2}some words .*\n {4}(some|words) .*\n {4}\/folder/)
    expect(text.replace(/\s+/g, ' ')).toBe(`memory ${'some words '.repeat(10)}${path} short`)
  })
})
