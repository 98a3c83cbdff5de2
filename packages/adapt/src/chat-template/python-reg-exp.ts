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

/** A class, an escaped character, a quantifier in braces, and what has another meaning by itself. */
const PARTS = /\[\^?\]?(?:\\[\s\S]|[^\]\\])*\]|\\[\s\S]|\{(?:\d+(?:,\d*)?|,\d*)\}|[{}\]$]/gu
/** May stand behind a backslash with flag u; within a class `-` too. */
const SYNTAX = new Set('^$\\.*+?()[]{}|/')

/** `]` stands for itself at the beginning of a class of Python. */
function classOf(part: string): string {
  return part
    .replace(/^(\[\^?)\]/, '$1\\]')
    .replace(/\\([^\w\s])/gu, (escaped, letter: string) =>
      SYNTAX.has(letter) || letter === '-' ? escaped : letter,
    )
}

function outsideOfClasses(part: string, flags: string): string {
  if (part === '\\A') return '(?<![^])'
  if (part === '\\Z') return '(?![^])'
  // The end of a text is also before its last line end.
  if (part === '$') return flags.includes('m') ? part : '(?=\\n?(?![^]))'
  if (part.startsWith('\\')) {
    const letter = part.slice(1)
    return SYNTAX.has(letter) || /[\w\s]/.test(letter) ? part : letter
  }
  return part.length > 1 ? part.replace('{,', '{0,') : `\\${part}`
}
