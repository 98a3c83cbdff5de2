import { pythonRegExp } from '../chat-template/index.js'
import { suggestName } from '../config/index.js'
import { ConfigError } from '../errors.js'
import type { FilterSettings } from './task-schema.js'

/** Named steps from what a model wrote to what is compared. */
export interface AnswerFilter {
  readonly name: string
  apply(text: string): string
}

type Step = FilterSettings['filter'][number]
type Make = (step: Step) => (text: string) => string

const STEPS: Readonly<Record<string, Make>> = {
  take_first: () => (text) => text,
  remove_whitespace: () => (text) => text.trim(),
  lowercase: () => (text) => text.toLowerCase(),
  uppercase: () => (text) => text.toUpperCase(),
  regex: ({ regex_pattern = '#### (\\-?[0-9\\.\\,]+)', group_select = 0, fallback = '[invalid]' }) => {
    const pattern = pythonRegExp(String(regex_pattern), 'g')
    return (text) => {
      const found = [...text.matchAll(pattern)]
      const match = found.at(Number(group_select))
      if (match === undefined) return String(fallback)
      // As `findall`: the whole match without groups, the first group that is not empty with several.
      const groups = match.slice(1)
      const picked =
        groups.length === 0 ? match[0] : groups.length === 1 ? (groups[0] ?? '') : groups.find(Boolean)
      return (picked ?? String(fallback)).trim()
    }
  },
  map: ({ mapping_dict: mapping, default_value: fallback }) => {
    const table = new Map(Object.entries((mapping ?? {}) as Record<string, unknown>))
    return (text) => String(table.get(text) ?? fallback ?? text)
  },
}
/** Keys of a step beside its function; the others have none. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  regex: ['regex_pattern', 'group_select', 'fallback'],
  map: ['mapping_dict', 'default_value'],
  take_first_k: ['k'],
}
/** Of one answer nothing changes. */
const KNOWN_WITHOUT_EFFECT = ['majority_vote', 'take_first_k']

/** Filters of a task; without a list the answer as it is. @throws {ConfigError} UNKNOWN_FILTER, UNKNOWN_OPTION, BAD_PATTERN. */
export function filtersOf(list: readonly FilterSettings[] | undefined, where: string): AnswerFilter[] {
  if (list === undefined) return [{ name: 'none', apply: (text) => text }]
  return list.map(({ name, filter }) => {
    const steps = filter
      .filter((step) => !KNOWN_WITHOUT_EFFECT.includes(step.function))
      .map((step) => {
        const make = Object.hasOwn(STEPS, step.function) ? STEPS[step.function] : undefined
        if (make !== undefined) return makeStep(make, step, where)
        const known = [...Object.keys(STEPS), ...KNOWN_WITHOUT_EFFECT].join(', ')
        throw new ConfigError(
          'UNKNOWN_FILTER',
          `${where}: filter_list: expected one of ${known}, received "${step.function}"`,
        )
      })
    return { name, apply: (text) => steps.reduce((result, step) => step(result), text) }
  })
}

function makeStep(make: Make, step: Step, where: string): (text: string) => string {
  const known = KEYS[step.function] ?? []
  const unknown = Object.keys(step).find((key) => key !== 'function' && !known.includes(key))
  if (unknown !== undefined) {
    throw new ConfigError(
      'UNKNOWN_OPTION',
      `${where}: filter_list: ${step.function}: expected ${known.length === 0 ? 'no other key' : `one of ${known.join(', ')}`}, received "${unknown}"${suggestName(unknown, known)}`,
    )
  }
  try {
    return make(step)
  } catch (error) {
    throw new ConfigError('BAD_PATTERN', `${where}: filter_list: ${(error as Error).message}`)
  }
}
