import { describe, expect, it } from 'vitest'
import { pythonRegExp } from '../chat-template/index.js'
import { parsePythonLiteral } from './python-literal.js'
import { PythonRandom } from './python-random.js'

const range = (n: number) => [...Array(n).keys()]

describe('PythonRandom', () => {
  it("draws what Python's random.Random draws", () => {
    const random = new PythonRandom(1234)
    expect(random.sample(range(100), 5)).toEqual([99, 56, 14, 0, 11])
    expect(random.sample(range(20), 6)).toEqual([18, 1, 2, 3, 11, 16])
    expect(random.random()).toBe(0.017428048184618405)
    expect(random.choices(range(7), 5)).toEqual([6, 0, 4, 3, 3])
    expect(random.sample(range(1000), 40).slice(0, 5)).toEqual([93, 187, 730, 117, 865])
    const large = new PythonRandom(2 ** 40 + 5)
    expect([large.random(), large.sample(range(50), 3)]).toEqual([0.5043802970418443, [17, 42, 1]])
    expect(new PythonRandom(0).random()).toBe(0.8444218515250481)
  })
})

describe('parsePythonLiteral', () => {
  it('reads lists, texts, numbers and words', () => {
    expect(parsePythonLiteral(`['a', "b's", 'it\\'s', -1.5, None, (1,), 'x' 'y', True]`)).toEqual([
      ...['a', "b's", "it's", -1.5, null, [1], 'xy', true],
    ])
    expect(parsePythonLiteral('["\\u00e9\\n", """two\nlines"""]')).toEqual(['é\n', 'two\nlines'])
  })

  it.each([['[1, 2'], ['[a]'], ["'open"], ['1 2'], ['']])('refuses %s', (text) => {
    expect(() => parsePythonLiteral(text)).toThrow(/^expected .* at character \d+$/)
  })
})

describe('pythonRegExp', () => {
  it('reads what Python writes otherwise', () => {
    expect('#### 1,200'.match(pythonRegExp('#### (\\-?[0-9\\.\\,]+)'))![1]).toBe('1,200')
    expect('aB'.match(pythonRegExp('(?i)(?P<first>b)'))!.groups!.first).toBe('B')
    expect(pythonRegExp('\\Ax\\Z').test('x')).toBe(true)
    expect(pythonRegExp('x\\Z').test('x\n')).toBe(false)
    expect(() => pythonRegExp('(')).toThrow(/^cannot read the regular expression/)
  })
})
