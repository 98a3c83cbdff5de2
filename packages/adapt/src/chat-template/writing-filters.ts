import { pythonRegExp } from './python-reg-exp.js'
import { type JsonStyle, pythonJson, pythonText } from './python-text.js'
import type { RuntimeValue } from './runtime-value.js'

/** Filters that write a value as text. */
export type WritingFilter = 'tojson' | 'string' | 'join' | 'regex_replace'

type Named = ReadonlyMap<string, RuntimeValue>

/**
 * What a filter writes of a value: `tojson` as transformers defines it, `string` and `join` as Jinja does.
 * @throws {Error} for arguments that it does not know, and for a value that Python refuses.
 */
export function writeFilter(
  filter: WritingFilter,
  operand: RuntimeValue,
  args: readonly RuntimeValue[],
  named: Named,
): string {
  if (filter === 'tojson') {
    const known = argumentsIn(filter, ['ensure_ascii', 'indent', 'separators', 'sort_keys'], args, named)
    return pythonJson(operand, styleOf(known))
  }
  if (filter === 'string') {
    argumentsIn(filter, [], args, named)
    return pythonText(operand)
  }
  if (filter === 'regex_replace') {
    const { pattern, repl } = argumentsIn(filter, ['pattern', 'repl'], args, named)
    if (pattern === undefined || repl === undefined)
      throw new Error('regex_replace takes a pattern and its replacement')
    const inserted = pythonText(repl)
      .replaceAll('$', '$$$$')
      .replace(/\\(\d)/g, '$$$1')
    return pythonText(operand).replace(pythonRegExp(pythonText(pattern), 'g'), inserted)
  }
  const { d: separator } = argumentsIn(filter, ['d'], args, named)
  return itemsOf(operand)
    .map(pythonText)
    .join(separator === undefined ? '' : pythonText(separator))
}

function itemsOf({ type, value }: RuntimeValue): readonly RuntimeValue[] {
  if (type === 'ArrayValue' || type === 'TupleValue') return value as readonly RuntimeValue[]
  if (type === 'StringValue') return Array.from(value as string, (letter) => ({ type, value: letter }))
  if (type === 'UndefinedValue') return []
  if (type === 'ObjectValue') {
    return Array.from((value as Named).keys(), (key) => ({ type: 'StringValue', value: key }))
  }
  throw new Error('join is for lists and texts')
}

function argumentsIn<Name extends string>(
  filter: string,
  names: readonly Name[],
  args: readonly RuntimeValue[],
  named: Named,
): Partial<Record<Name, RuntimeValue>> {
  const known: Partial<Record<Name, RuntimeValue>> = {}
  if (args.length > names.length) throw new Error(`${filter} takes at most ${names.length} arguments`)
  for (const [i, value] of args.entries()) known[names[i]!] = value
  for (const [name, value] of named) {
    if (!(names as readonly string[]).includes(name)) throw new Error(`${filter} does not know "${name}"`)
    known[name as Name] = value
  }
  return known
}

function styleOf(given: Partial<Record<string, RuntimeValue>>): JsonStyle {
  const indent = indentOf(given.indent)
  const { separators } = given
  const pair = separators === undefined || separators.type === 'NullValue' ? undefined : itemsOf(separators)
  if (pair !== undefined && (pair.length !== 2 || pair.some(({ type }) => type !== 'StringValue'))) {
    throw new Error('tojson takes two texts as separators')
  }
  return {
    ensureAscii: isTrue(given.ensure_ascii),
    indent,
    itemSeparator: (pair?.[0]?.value as string | undefined) ?? (indent === undefined ? ', ' : ','),
    keySeparator: (pair?.[1]?.value as string | undefined) ?? ': ',
    sortKeys: isTrue(given.sort_keys),
  }
}

/** Most spaces of a level; what is beyond would only fill the memory. */
const MAX_INDENT = 100

function indentOf(given: RuntimeValue | undefined): string | undefined {
  if (given === undefined || given.type === 'NullValue') return undefined
  const { value } = given
  if (typeof value === 'string' && value.length <= MAX_INDENT) return value
  if (typeof value === 'boolean') return value ? ' ' : ''
  if (given.type !== 'IntegerValue' || Number(value) > MAX_INDENT) {
    throw new Error(`tojson takes an indent of at most ${MAX_INDENT} spaces`)
  }
  return ' '.repeat(Math.max(0, Number(value)))
}

function isTrue(value: RuntimeValue | undefined): boolean {
  return value !== undefined && value.type !== 'NullValue' && Boolean(value.value)
}
