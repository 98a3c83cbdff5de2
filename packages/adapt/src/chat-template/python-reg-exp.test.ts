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
])('%s finds in %j what it finds in Python', (pattern, text, expected) => {
  expect(text.replace(pythonRegExp(pattern, 'g'), '<$&>')).toBe(expected)
})
