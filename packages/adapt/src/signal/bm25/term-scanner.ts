/**
 * How a text becomes terms, after it is lower-cased.
 * `ccds`: newlines are spaces, ASCII punctuation is taken out, and the text is split at every single space, so that two spaces in a row leave an
 * empty term between them. `whitespace`: split at runs of white space.
 */
export type TermRule = 'ccds' | 'whitespace'

const LETTER = 0
const SEPARATOR = 1
const LEFT_OUT = 2
/** Kinds are looked up for the characters below; above, only white space counts, and under one rule. */
const NUM_LOOKED_UP = 256
/** White space as Python's `str.split` takes it. */
const NARROW_SPACES = [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xa0]
const WIDE_SPACES = new Set([
  0x1680,
  ...Array.from({ length: 11 }, (_, i) => 0x2000 + i),
  0x2028,
  0x2029,
  0x202f,
  0x205f,
  0x3000,
])
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'

/**
 * Reads the terms of texts as hashes of 64 bits, without making a string for each: two different terms are taken for one with a chance of about
 * 3 in a million among ten million.
 */
export class TermScanner {
  /** Halves of the hashes of the last text's terms, in order; longer than the text has terms. */
  low = new Uint32Array(1024)
  high = new Uint32Array(1024)
  readonly #kinds = new Uint8Array(NUM_LOOKED_UP)
  readonly #keepsEmpty: boolean

  constructor(rule: TermRule) {
    this.#keepsEmpty = rule === 'ccds'
    const separators = this.#keepsEmpty ? [10, 32] : NARROW_SPACES
    for (const code of separators) this.#kinds[code] = SEPARATOR
    if (this.#keepsEmpty) for (const char of PUNCTUATION) this.#kinds[char.charCodeAt(0)] = LEFT_OUT
  }

  /** @returns How many terms the text has; their hashes are in `low` and `high` until the next call. */
  scan(text: string): number {
    const lower = text.toLowerCase()
    const kinds = this.#kinds
    const keepsEmpty = this.#keepsEmpty
    this.#makeRoom(lower.length + 1)
    const { low, high } = this
    let count = 0
    let [h1, h2, length] = [0, 0, 0]
    for (let i = 0; i <= lower.length; i++) {
      const code = i < lower.length ? lower.charCodeAt(i) : 32
      let kind = LETTER
      if (code < NUM_LOOKED_UP) kind = kinds[code]!
      else if (!keepsEmpty && WIDE_SPACES.has(code)) kind = SEPARATOR
      if (kind === LETTER) {
        h1 = Math.imul(h1 ^ code, 0x01000193)
        h2 = Math.imul(((h2 << 13) | (h2 >>> 19)) ^ code, 0x85ebca6b)
        length++
      } else if (kind === SEPARATOR) {
        if (length > 0 || keepsEmpty) {
          low[count] = finish(h1 ^ length)
          high[count++] = finish(h2)
        }
        h1 = h2 = length = 0
      }
    }
    return count
  }

  #makeRoom(numTerms: number): void {
    if (this.low.length >= numTerms) return
    this.low = new Uint32Array(2 * numTerms)
    this.high = new Uint32Array(2 * numTerms)
  }
}

/** Spreads what the last characters changed over all bits. */
function finish(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return h ^ (h >>> 13)
}
