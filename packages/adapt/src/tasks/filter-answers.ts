import { pythonRegExp } from '../chat-template/index.js'
import { suggestName } from '../config/index.js'
import { ConfigError, DataError } from '../errors.js'
import type { TaskDocument } from './task-documents.js'
import type { FilterSettings, OutputType } from './task-schema.js'

/** Named steps from what a model wrote to what is compared. */
export interface AnswerFilter {
  readonly name: string
  apply(text: string, document: TaskDocument): string
}

type Step = FilterSettings['filter'][number]
type Apply = AnswerFilter['apply']
type Make = (step: Step) => Apply

const STEPS: Readonly<Record<string, Make>> = {
  take_first: () => (text) => text,
  remove_whitespace: () => (text) => text.trim(),
  lowercase: () => (text) => text.toLowerCase(),
  uppercase: () => (text) => text.toUpperCase(),
  regex: ({ fallback = '[invalid]', ...step }) => {
    const find = finder(step)
    return (text) => find(text) ?? String(fallback)
  },
  multi_choice_regex: ({ fallback = '[invalid]', ...step }) => {
    const find = finder(step)
    const groupSelect = Number(step.group_select ?? 0)
    const simplify = simplifier(step)
    return (text, document) =>
      find(text) || findChoice(text, choicesOf(document), simplify, groupSelect) || String(fallback)
  },
  map: ({ mapping_dict: mapping, default_value: fallback }) => {
    const table = new Map(Object.entries((mapping ?? {}) as Record<string, unknown>))
    return (text) => String(table.get(text) ?? fallback ?? text)
  },
}
const REGEX_KEYS = ['regex_pattern', 'group_select', 'fallback']
/** Keys of a step beside its function; the others have none. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  regex: REGEX_KEYS,
  multi_choice_regex: [...REGEX_KEYS, 'ignore_case', 'ignore_punctuation', 'regexes_to_ignore'],
  map: ['mapping_dict', 'default_value'],
  take_first_k: ['k'],
}
/** Of one answer nothing changes. */
const KNOWN_WITHOUT_EFFECT = ['majority_vote', 'take_first_k']

/** Steps that are refused for more than their name. */
const REFUSED: Readonly<Record<string, string>> = { custom: 'it is Python, which is not run' }

/** A match of `regex_pattern` in a text, as `findall` gives it: the whole match without groups, the first group that is not empty with several. */
function finder({
  regex_pattern: pattern = '#### (\\-?[0-9\\.\\,]+)',
  group_select: place = 0,
}: Partial<Step>): (text: string) => string | undefined {
  const regex = pythonRegExp(String(pattern), 'g')
  return (text) => {
    const match = [...text.matchAll(regex)].at(Number(place))
    if (match === undefined) return undefined
    const groups = match.slice(1)
    const picked =
      groups.length === 0 ? match[0] : groups.length === 1 ? (groups[0] ?? '') : groups.find(Boolean)
    return picked?.trim()
  }
}

/** What does not count where a choice is looked for. */
function simplifier({
  ignore_case,
  ignore_punctuation,
  regexes_to_ignore,
}: Partial<Step>): (text: string) => string {
  const ignored = [regexes_to_ignore ?? []].flat().map((pattern) => pythonRegExp(String(pattern), 'g'))
  return (text) => {
    const left = ignored.reduce((rest, pattern) => rest.replace(pattern, ''), text)
    const small = ignore_case ? left.toLowerCase() : left
    return ignore_punctuation ? small.replace(/\p{P}/gu, '') : small
  }
}

/** `(A)` where a text holds the first choice, or has its letter behind a colon. */
function findChoice(
  text: string,
  choices: readonly string[],
  simplify: (text: string) => string,
  place: number,
): string | undefined {
  const letterOf = (i: number) => String.fromCodePoint(65 + i)
  const plain = choices.map((choice) => simplify(choice.trim()))
  // One that another begins with would hide it.
  const longestFirst = [...plain].sort((a, b) => patternLength(b) - patternLength(a))
  const any = new RegExp(longestFirst.map(escapePattern).join('|'), 'gu')
  const named = [...simplify(text).matchAll(any)].at(place)?.[0].trim()
  if (named) return plain.includes(named) ? `(${letterOf(plain.lastIndexOf(named))})` : named
  const letters = choices.map((_, i) => escapePattern(letterOf(i))).join('|')
  const lettered = [...text.matchAll(new RegExp(`:\\s*(${letters})`, 'gu'))].at(place)?.[1]
  return lettered && `(${lettered})`
}

/** Letters of a text in a pattern of Python, where more of them are escaped. */
const patternLength = (text: string): number =>
  Array.from(text).length + (text.match(/[()[\]{}?*+\-|^$\\.&~# \t\n\r\v\f]/g)?.length ?? 0)

const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** @throws {DataError} MISSING_FIELD */
function choicesOf({ fields, where }: TaskDocument): readonly string[] {
  const { choices } = fields
  if (Array.isArray(choices) && choices.every((choice) => typeof choice === 'string')) return choices
  throw new DataError(
    'MISSING_FIELD',
    `${where}: filter_list: multi_choice_regex: expected the field "choices" with a list of texts`,
    { field: 'choices' },
  )
}

/**
 * Filters of a task; without a list the answer as it is. A log-likelihood is taken as it is: its filters have names only.
 * @throws {ConfigError} UNKNOWN_FILTER, UNKNOWN_OPTION, BAD_PATTERN.
 */
export function filtersOf(
  outputType: OutputType,
  list: readonly FilterSettings[] | undefined,
  where: string,
): AnswerFilter[] {
  if (list === undefined) return [{ name: 'none', apply: (text) => text }]
  return list.map(({ name, filter }) => {
    const steps = filter.flatMap((step) => {
      if (outputType !== 'generate_until' && step.function !== 'take_first') {
        throw new ConfigError(
          'UNKNOWN_FILTER',
          `${where}: filter_list: expected take_first alone with output_type ${outputType}, which writes no text, received "${step.function}"`,
        )
      }
      return KNOWN_WITHOUT_EFFECT.includes(step.function) ? [] : [makeStep(step, where)]
    })
    return { name, apply: (text, document) => steps.reduce((result, step) => step(result, document), text) }
  })
}

function makeStep(step: Step, where: string): Apply {
  const { function: name } = step
  const make = Object.hasOwn(STEPS, name) ? STEPS[name] : undefined
  if (make === undefined) {
    const reason = Object.hasOwn(REFUSED, name) ? `: ${REFUSED[name]}` : ''
    const all = [...Object.keys(STEPS), ...KNOWN_WITHOUT_EFFECT]
    throw new ConfigError(
      'UNKNOWN_FILTER',
      `${where}: filter_list: expected one of ${all.join(', ')}, received "${name}"${reason || suggestName(name, all)}`,
    )
  }
  const known = KEYS[name] ?? []
  const unknown = Object.keys(step).find((key) => key !== 'function' && !known.includes(key))
  if (unknown !== undefined) {
    throw new ConfigError(
      'UNKNOWN_OPTION',
      `${where}: filter_list: ${name}: expected ${known.length === 0 ? 'no other key' : `one of ${known.join(', ')}`}, received "${unknown}"${suggestName(unknown, known)}`,
    )
  }
  try {
    return make(step)
  } catch (error) {
    throw new ConfigError('BAD_PATTERN', `${where}: filter_list: ${(error as Error).message}`)
  }
}
