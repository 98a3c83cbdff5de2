/**
 * A regular expression of Python's `re` as one of JavaScript; characters are code points.
 * @param flags  Of JavaScript beside `u`.
 * @throws {Error} for what the one has and the other has not.
 */
export function pythonRegExp(pattern: string, flags = ''): RegExp {
  let source = pattern
  let ownFlags = flags
  const inline = /^\(\?([aiLmsux]+)\)/.exec(source)
  if (inline) {
    for (const letter of inline[1]!) {
      if (!'ims'.includes(letter))
        throw new Error(`the flag (?${letter}) of a regular expression is not known here`)
      ownFlags += letter
    }
    source = source.slice(inline[0].length)
  }
  source = source
    .replace(/\(\?P</g, '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replace(PARTS, (part) => (part.startsWith('[') ? classOf(part) : outsideOfClasses(part, ownFlags)))
  try {
    return new RegExp(source, [...new Set(`${ownFlags}u`)].join(''))
  } catch (error) {
    throw new Error(
      `cannot read the regular expression ${JSON.stringify(pattern)}: ${(error as Error).message}`,
    )
  }
}

/** What Python calls a letter, number or underscore, and a blank; without the brackets of a class. */
const WORD = '\\p{L}\\p{N}_'
const BLANK = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
/** Members of a class that are all but those: a class cannot hold the complement of a set. */
const NOT_WORD =
  '\\p{M}\\p{S}\\p{Z}\\p{C}\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}\\u203f\\u2040\\u2054\\ufe33\\ufe34\\ufe4d-\\ufe4f\\uff3f'
const NOT_BLANK =
  '\\0-\\x08\\x0e-\\x1b!-\\x84\\x86-\\x9f\\xa1-\\u167f\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\u{10ffff}'
const SETS: ReadonlyMap<string, string> = new Map([
  ['\\w', WORD],
  ['\\W', NOT_WORD],
  ['\\d', '\\p{Nd}'],
  ['\\D', '\\P{Nd}'],
  ['\\s', BLANK],
  ['\\S', NOT_BLANK],
])
/** Edges of words, and line ends, of which Python has one. */
const PLACES: ReadonlyMap<string, string> = new Map([
  ['\\A', '(?<![^])'],
  ['\\Z', '(?![^])'],
  ['\\b', `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`],
  ['\\B', `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`],
])

/** A class, an escaped character, a quantifier in braces, and what has another meaning by itself. */
const PARTS = /\[\^?\]?(?:\\[\s\S]|[^\]\\])*\]|\\[\s\S]|\{(?:\d+(?:,\d*)?|,\d*)\}|[{}\]$^.]/gu
/** May stand behind a backslash with flag u; within a class `-` too. */
const SYNTAX = new Set('^$\\.*+?()[]{}|/')

/** `]` stands for itself at the beginning of a class of Python. */
function classOf(part: string): string {
  return part.replace(/^(\[\^?)\]/, '$1\\]').replace(/\\([\s\S])/gu, (escaped, letter: string) => {
    const set = SETS.get(escaped)
    if (set !== undefined) return set
    return /[\w\s]/.test(letter) || SYNTAX.has(letter) || letter === '-' ? escaped : letter
  })
}

function outsideOfClasses(part: string, flags: string): string {
  const place = PLACES.get(part)
  if (place !== undefined) return place
  const set = SETS.get(part)
  if (set !== undefined) return `[${set}]`
  // Of all line ends of JavaScript Python has this one.
  if (part === '.') return flags.includes('s') ? part : '[^\\n]'
  if (part === '^') return flags.includes('m') ? '(?<![^\\n])' : part
  // The end of a text is also before its last line end.
  if (part === '$') return flags.includes('m') ? '(?![^\\n])' : '(?=\\n?(?![^]))'
  if (part.startsWith('\\')) {
    const letter = part.slice(1)
    return SYNTAX.has(letter) || /[\w\s]/.test(letter) ? part : letter
  }
  return part.length > 1 ? part.replace('{,', '{0,') : `\\${part}`
}
