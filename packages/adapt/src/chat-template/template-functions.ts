import { EQUALS, LENGTH, SEARCH, STRIP } from './follow-python.js'

/** Most numbers that `range` gives; templates count messages. */
const MAX_RANGE = 100_000

/** A template ended with `raise_exception(message)`. */
export class TemplateRefusal extends Error {}

/**
 * What `strftime_now` says: Friday, 26 July 2024, midnight; the date that templates of Llama 3 fall back to. A real
 * clock would make the data of a run differ from one day to the next.
 */
const FIXED_DATE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Y: '2024',
    m: '07',
    d: '26',
    b: 'Jul',
    B: 'July',
    a: 'Fri',
    A: 'Friday',
    y: '24',
    j: '208',
    e: '26',
    w: '5',
    u: '5',
    H: '00',
    I: '12',
    M: '00',
    S: '00',
    f: '000000',
    p: 'AM',
    F: '2024-07-26',
    T: '00:00:00',
    R: '00:00',
    D: '07/26/24',
    x: '07/26/24',
    X: '00:00:00',
    c: 'Fri Jul 26 00:00:00 2024',
    Z: '',
    z: '',
    n: '\n',
    t: '\t',
    '%': '%',
  }),
)

/** Constants and functions that every template can use; those of transformers. */
export const TEMPLATE_FUNCTIONS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown) => {
    throw new TemplateRefusal(String(message))
  },
  strftime_now: (format: unknown) => {
    return String(format).replace(/%(-?)([a-zA-Z%])/g, (directive, short: string, letter: string) => {
      const value = FIXED_DATE.get(letter)
      if (value === undefined) throw new Error(`strftime_now() does not know ${directive}`)
      return short === '' ? value : value.replace(/^0+(?=\d)/, '')
    })
  },
  range,
  [STRIP]: strip,
  [LENGTH]: length,
  [SEARCH]: search,
  [EQUALS]: (operator: string, left: unknown, right: unknown) => isEqual(left, right) === (operator === '=='),
}

function range(first: unknown, second?: unknown, step: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  if (![start, stop, step].every(Number.isInteger)) throw new Error('range() takes integers')
  const [from, to, by] = [start as number, stop as number, step as number]
  if (by === 0) throw new Error('range() step must not be zero')
  const length = Math.max(0, Math.ceil((to - from) / by))
  if (length > MAX_RANGE) throw new Error(`range() gives at most ${MAX_RANGE} numbers, asked for ${length}`)
  return Array.from({ length }, (_, i) => from + i * by)
}

/** What Python's `str.strip` takes for white space; JavaScript's `trim` has others. */
const BLANKS = new Set(
  '\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
)

function strip(method: string, text: unknown, characters?: unknown): string {
  if (typeof text !== 'string') throw new Error(`${method} is for text, received ${describe(text)}`)
  if (!['string', 'undefined'].includes(typeof characters)) {
    throw new Error(`${method} takes the characters to strip as text, received ${describe(characters)}`)
  }
  const stripped = typeof characters === 'string' ? new Set(characters) : BLANKS
  const letters = [...stripped].some((letter) => letter.length > 1) ? Array.from(text) : text
  let start = 0
  let end = letters.length
  while (method !== 'rstrip' && start < end && stripped.has(letters[start]!)) start++
  while (method !== 'lstrip' && end > start && stripped.has(letters[end - 1]!)) end--
  const kept = letters.slice(start, end)
  return typeof kept === 'string' ? kept : kept.join('')
}

/** Of a list by `==`, of a text by characters. */
function search(method: string, value: unknown, item: unknown): number {
  if (Array.isArray(value)) {
    const places = [...value.keys()].filter((i) => isEqual(unbox(value[i]), item))
    if (method === 'count') return places.length
    if (method === 'find') throw new Error('find is for text, received a list')
    if (places.length === 0) throw new Error(`index: ${JSON.stringify(item)} is not in the list`)
    return places[0]!
  }
  if (typeof value !== 'string' || typeof item !== 'string') {
    throw new Error(`${method} is for lists and text, received ${describe(value)}`)
  }
  if (method === 'count') return item === '' ? length(value) + 1 : value.split(item).length - 1
  const place = value.indexOf(item)
  if (place < 0 && method === 'index') throw new Error('index: the text that is looked for is not there')
  return place < 0 ? -1 : length(value.slice(0, place))
}

function length(value: unknown): number {
  if (value instanceof Map) return value.size
  if (Array.isArray(value)) return value.length
  if (typeof value !== 'string') throw new Error(`length is for texts and lists, received ${describe(value)}`)
  let numCharacters = 0
  for (const _ of value) numCharacters++
  return numCharacters
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  return Array.isArray(value) ? 'a list' : value instanceof Map ? 'a mapping' : `${typeof value}`
}

/** `==` of Python on what the library hands to a function: raw values, with boxed ones inside lists and mappings. */
function isEqual(left: unknown, right: unknown): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, i) => isEqual(unbox(item), unbox(right[i])))
  }
  if (left instanceof Map && right instanceof Map) {
    return (
      left.size === right.size &&
      [...left].every(([key, item]) => right.has(key) && isEqual(unbox(item), unbox(right.get(key))))
    )
  }
  const isNumeric = (value: unknown) => ['number', 'bigint', 'boolean'].includes(typeof value)
  // biome-ignore lint/suspicious/noDoubleEquals: numbers of any kind are equal by value, exactly.
  return isNumeric(left) && isNumeric(right) ? left == right : left === right
}

function unbox(item: unknown): unknown {
  return (item as { readonly value: unknown }).value
}
