import { expect, test } from 'vitest'
import { pythonRegExp } from './index.js'

// What Python 3 finds with `re.sub(pattern, lambda found: f'<{found[0]}>', text)`.
test.each([
  ['#### (\\-?[0-9\\.\\,]+)', '#### -1,000', '<#### -1,000>'],
  ['[\\-a]', 'x-a', 'x<-><a>'],
  ['\\\\boxed{(.*)}', '\\boxed{4}', '<\\boxed{4}>'],
  ['a{,2}b', 'aab', '<aab>'],
  ['[]a]+', 'x]a', 'x<]a>'],
  ['[^]a]+', 'x]ab', '<x>]a<b>'],
  ['a]', 'a]', '<a]>'],
  ['\\.$', '5.\n', '5<.>\n'],
  ['(?m)x$', 'x\nx', '<x>\n<x>'],
  ['a\\Z', 'a\na', 'a\n<a>'],
  ['(?m)\\Aa', 'a\na', '<a>\na'],
  ['(?P<x>a)(?P=x)', 'aa', '<aa>'],
  ['\\w+', 'über naïve_3 \u0664\u00bd a\u0301', '<über> <naïve_3> <\u0664\u00bd> <a>\u0301'],
  ['[\\w-]+', 'größer-als', '<größer-als>'],
  ['[^\\W\\d]+', 'né3_x', '<né>3<_x>'],
  ['\\bé', 'é cé', '<é> cé'],
  ['e\\Bé', 'eé', '<eé>'],
  ['\\d+', '3\u0664 \u00b2', '<3\u0664> \u00b2'],
  ['\\s', 'a\x1cb\x85c\ufeff', 'a<\x1c>b<\x85>c\ufeff'],
  ['[\\S]+', 'a\x1cb', '<a>\x1c<b>'],
  ['.+', 'a\rb\u2028c\nd', '<a\rb\u2028c>\n<d>'],
  ['(?m)^b$', 'a\rb\nb', 'a\rb\n<b>'],
])('%s finds in %j what it finds in Python', (pattern, text, expected) => {
  expect(text.replace(pythonRegExp(pattern, 'g'), '<$&>')).toBe(expected)
})
