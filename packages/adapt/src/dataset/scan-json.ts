const QUOTE = 0x22
const BACKSLASH = 0x5c

/** What `JSON.parse` does not tell about a text. */
export interface JsonScan {
  /** Deepest nesting of objects and arrays. */
  readonly depth: number
  /** Keys of all objects, repeated ones counted each time. */
  readonly numKeys: number
  /** The outermost value of `id` as written when it is a number, else undefined. */
  readonly idNumber: string | undefined
  /**
   * Whether the parser would change what lies at `exactFrom` levels or deeper: an integer above 2^53, a float that is
   * written like `1.0` or `1e5`, or the place of a key of digits, which it moves to the front.
   */
  readonly isChanged: boolean
}

/**
 * Looks at the brackets, keys and numbers of a JSON text in one pass that jumps over strings. Depth is judged before
 * parsing because the parser builds any depth; keys because the parser keeps the last of two equal ones; numbers
 * because the parser rounds integers above 2^53. Does not judge syntax: the parser does.
 *
 * @param exactFrom  Level from which numbers and the order of keys count; 1 is the outermost object.
 */
export function scanJson(bytes: Buffer, exactFrom = 1): JsonScan {
  let depth = 0
  let deepest = 0
  let numKeys = 0
  let keyStart = 0
  let keyEnd = 0
  let idNumber: string | undefined
  let isChanged = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      keyStart = i + 1
      i = endOfString(bytes, i)
      keyEnd = i
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1
    } else if (byte === 0x3a) {
      numKeys += 1
      if (depth >= exactFrom) isChanged ||= isDigits(bytes, keyStart, keyEnd)
      if (
        depth === 1 &&
        keyEnd - keyStart === 2 &&
        bytes[keyStart] === 0x69 &&
        bytes[keyStart + 1] === 0x64
      ) {
        idNumber = /^\s*(-?\d[\d.eE+-]*)/.exec(bytes.toString('latin1', i + 1, i + 401))?.[1]
      }
    } else if (isDigit(byte)) {
      const start = i
      while (isNumeric(bytes[i + 1])) i += 1
      if (depth >= exactFrom) isChanged ||= changesNumber(bytes.toString('latin1', start, i + 1))
    }
  }
  return { depth: deepest, numKeys, idNumber, isChanged }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

/** Digits, `.`, `e`, `E`, `+` and `-`. */
function isNumeric(byte: number | undefined): boolean {
  return isDigit(byte) || byte === 0x2e || byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === 0x2d
}

function isDigits(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && isDigit(bytes[at])) at += 1
  return at === end && start < end
}

/** Whether a number without its sign is an integer that is rounded, or a float that looks like an integer then. */
function changesNumber(written: string): boolean {
  const value = Number(written)
  return /^\d+$/.test(written)
    ? !Number.isSafeInteger(value)
    : Number.isInteger(value) || !Number.isFinite(value)
}

/** Index of the closing quote of the string that opens at `start`; the length of the text when it never closes. */
function endOfString(bytes: Buffer, start: number): number {
  for (let from = start + 1; ; ) {
    const quote = bytes.indexOf(QUOTE, from)
    if (quote < 0) {
      return bytes.length
    }
    let before = quote - 1
    while (before > start && bytes[before] === BACKSLASH) {
      before -= 1
    }
    if ((quote - 1 - before) % 2 === 0) {
      return quote
    }
    from = quote + 1
  }
}
