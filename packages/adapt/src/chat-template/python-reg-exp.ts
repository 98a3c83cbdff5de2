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
  // Python's names for the same: groups, the ends of a text, characters that need no escape.
  source = source
    .replace(/\(\?P</g, '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replace(/(^|[^\\])((?:\\\\)*)\\A/g, '$1$2^')
    .replace(/(^|[^\\])((?:\\\\)*)\\Z/g, '$1$2$$(?![^])')
    .replace(/\\([^\w\s])/g, (escaped, letter: string) =>
      letter === '-' ? '\\x2d' : SYNTAX.has(letter) ? escaped : letter,
    )
  try {
    return new RegExp(source, [...new Set(`${ownFlags}u`)].join(''))
  } catch (error) {
    throw new Error(
      `cannot read the regular expression ${JSON.stringify(pattern)}: ${(error as Error).message}`,
    )
  }
}

/** May stand behind a backslash in a pattern with flag u. */
const SYNTAX = new Set('^$\\.*+?()[]{}|/')
