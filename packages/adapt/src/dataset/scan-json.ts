const QUOTE = 0x22
const BACKSLASH = 0x5c

/** What `JSON.parse` does not tell about a text. */
export interface JsonScan {
  /** Deepest nesting of objects and arrays. */
  readonly depth: number
  /** Keys of the outermost object, repeated ones counted each time. */
  readonly numKeys: number
  /** The outermost value of `id` as written when it is a number, else undefined. */
  readonly idNumber: string | undefined
}

/**
 * Looks at the brackets, keys and the `id` of a JSON text in one pass that jumps over strings. Depth is
 * judged before parsing because the parser builds any depth; keys because the parser keeps the last of two
 * equal ones; the id because the parser rounds integers above 2^53. Does not judge syntax: the parser does.
 */
export function scanJson(bytes: Buffer): JsonScan {
  let depth = 0
  let deepest = 0
  let numKeys = 0
  let keyStart = 0
  let keyEnd = 0
  let idNumber: string | undefined
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const end = endOfString(bytes, i)
      if (depth === 1) {
        keyStart = i + 1
        keyEnd = end
      }
      i = end
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1
      deepest = Math.max(deepest, depth)
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1
    } else if (byte === 0x3a && depth === 1) {
      numKeys += 1
      if (keyEnd - keyStart === 2 && bytes[keyStart] === 0x69 && bytes[keyStart + 1] === 0x64) {
        idNumber = /^\s*(-?\d[\d.eE+-]*)/.exec(bytes.toString('latin1', i + 1, i + 401))?.[1]
      }
    }
  }
  return { depth: deepest, numKeys, idNumber }
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
