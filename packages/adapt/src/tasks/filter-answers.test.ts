// Of each filter what lm-evaluation-harness 0.4.13 makes of the text, with a document of three choices.
import { describe, expect, it } from 'vitest'
import { filtersOf } from './filter-answers.js'
import type { FilterSettings } from './task-schema.js'

type Step = FilterSettings['filter'][number]
const document = {
  fields: { choices: ['Guilty', 'Guilty of arson.', 'Not guilty'] },
  where: 'data.jsonl:1',
  key: '',
}
const apply = (step: Step, text: string, of: typeof document = document): string =>
  filtersOf('generate_until', [{ name: 'f', filter: [step] }], '')[0]!.apply(text, of)

describe('filters of answers', () => {
  const letters = { function: 'multi_choice_regex', regex_pattern: '(\\([A-Z]\\))', fallback: '[none]' }
  it.each([
    ['it is (B), not (A)', {}, '(B)'],
    ['it is (B), not (A)', { group_select: -1 }, '(A)'],
    ['He is Guilty of arson. Quite.', {}, '(B)'],
    ['He is Guilty of', {}, '(A)'],
    ['he is GUILTY OF ARSON', {}, '[none]'],
    ['he is GUILTY OF ARSON', { ignore_case: true }, '(A)'],
    ['he is GUILTY, OF ARSON', { ignore_case: true, ignore_punctuation: true }, '(B)'],
    ['he is not "guilty" at all', { ignore_case: true, ignore_punctuation: true }, '(C)'],
    ["he isn't Guil--ty", { regexes_to_ignore: ['-'] }, '(A)'],
    ['Answer:\n C', {}, '(C)'],
    ['Answer: D', {}, '[none]'],
    ['', {}, '[none]'],
  ])('multi_choice_regex of %j with %j', (text, more, expected) => {
    expect(apply({ ...letters, ...more }, text)).toBe(expected)
  })

  it('multi_choice_regex needs the choices of the document', () => {
    const other = { ...document, fields: { choices: 'Guilty' } } as never
    expect(() => apply(letters, 'x', other)).toThrow(
      /^data.jsonl:1: .*expected the field "choices" with a list/,
    )
  })

  it.each([
    ['regex', {}, 'so #### 1,200. #### 7', '1,200.'],
    ['regex', { regex_pattern: '(a)|(b)', group_select: -1 }, 'a b', 'b'],
    ['regex', { regex_pattern: 'x', fallback: '?' }, 'a', '?'],
    ['remove_whitespace', {}, ' \n a b ', 'a b'],
    ['lowercase', {}, 'ÄB', 'äb'],
    ['uppercase', {}, 'äß', 'ÄSS'],
    ['map', { mapping_dict: { a: 1 }, default_value: 0 }, 'a', '1'],
    ['map', { mapping_dict: { a: 1 }, default_value: 0 }, 'b', '0'],
    ['take_first', {}, ' a', ' a'],
  ])('%s with %j', (name, more, text, expected) => {
    expect(apply({ function: name, ...more }, text)).toBe(expected)
  })
})
