import { printable } from '../dataset/index.js'
import { HostileFileError } from '../errors.js'

const MAX_PATTERN_LENGTH = 4096

/** One group of a pattern while it is read. */
interface Group {
  /** It can match some text in more than one way: it holds an unbounded repetition or an alternation. */
  ambiguous: boolean
}

/**
 * Refuses regular expressions that can take exponential time on chosen text. They come from tokenizer.json and
 * run in native code that nothing can interrupt. Exponential matching needs a repeated group that can match the
 * same text in several ways, or a back-reference; no tokenizer in common use has either, so both are refused by
 * their form: a group repeated more than once may hold no `*`, `+`, `{n,}` or `|`, and there is no `\1` or `\k`.
 *
 * @param config  Parsed tokenizer.json; every `{"Regex": ...}` in it is judged.
 * @throws {HostileFileError} TOKENIZER_PATTERN
 */
export function assertSafePatterns(config: unknown, file: string): void {
  if (typeof config !== 'object' || config === null) {
    return
  }
  for (const [key, value] of Object.entries(config)) {
    if (key === 'Regex' && typeof value === 'string') {
      const problem = patternProblem(value)
      if (problem !== undefined) {
        throw new HostileFileError(
          'TOKENIZER_PATTERN',
          `${printable(file)}: expected patterns that run in bounded time, received one with ${problem}: ` +
            `${printable(value, 80)}; rewrite it, or use another tokenizer`,
          { pattern: value },
        )
      }
    } else if (key !== 'vocab' && key !== 'merges') {
      assertSafePatterns(value, file)
    }
  }
}

/** What makes a pattern unsafe, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    return `more than ${MAX_PATTERN_LENGTH} characters`
  }
  const open: Group[] = [{ ambiguous: false }]
  let closed: Group | undefined
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!
    const group = open.at(-1)!
    const quantifier = /^(?:[*+?]|\{\d*,?\d*\})/.exec(pattern.slice(i, i + 24))?.[0]
    if (quantifier !== undefined && quantifier !== '{}' && quantifier !== '{,}') {
      if (closed?.ambiguous && isRepeated(quantifier)) {
        return 'a repeated group that can match in several ways'
      }
      i += quantifier.length - 1
      // One `?` or `+` after it makes it lazy or possessive; anything more repeats a repetition.
      if (pattern[i + 1] === '?' || pattern[i + 1] === '+') {
        i += 1
      }
      if (/[*+{]/.test(pattern[i + 1] ?? '')) {
        return 'a repeated repetition'
      }
      group.ambiguous ||= isUnbounded(quantifier)
      closed = undefined
      continue
    }
    closed = undefined
    if (c === '\\') {
      i += 1
      if (/[1-9kg]/.test(pattern[i] ?? '')) {
        return 'a back-reference'
      }
    } else if (c === '[') {
      i = endOfClass(pattern, i)
    } else if (c === '(') {
      open.push({ ambiguous: false })
      // `(?` opens a group of a special kind; its `?` is no quantifier.
      if (pattern[i + 1] === '?') {
        i += 1
      }
    } else if (c === ')' && open.length > 1) {
      closed = open.pop()!
      open.at(-1)!.ambiguous ||= closed.ambiguous
    } else if (c === '|') {
      group.ambiguous = true
    }
  }
  return undefined
}

function isRepeated(quantifier: string): boolean {
  const bounds = /^\{(\d*)(,?)(\d*)\}$/.exec(quantifier)
  if (bounds === null) {
    return quantifier !== '?'
  }
  return isUnbounded(quantifier) || Number(bounds[3] || bounds[1]) > 1
}

function isUnbounded(quantifier: string): boolean {
  return quantifier === '*' || quantifier === '+' || quantifier.endsWith(',}')
}

/** Index of the `]` that closes the class opened at `start`; classes nest. */
function endOfClass(pattern: string, start: number): number {
  let depth = 0
  for (let i = start; i < pattern.length; i++) {
    if (pattern[i] === '\\') {
      i += 1
    } else if (pattern[i] === '[') {
      depth += 1
    } else if (pattern[i] === ']') {
      depth -= 1
      if (depth === 0) {
        return i
      }
    }
  }
  return pattern.length
}
