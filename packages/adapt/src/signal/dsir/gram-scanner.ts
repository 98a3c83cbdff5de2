import { Sha256Remainder } from './sha256-remainder.js'

/** Of a character: part of a word, white space, or anything else, which forms tokens of its own. */
const UNKNOWN = 0
const WORD = 1
const SPACE = 2
const OTHER = 3
/** Word characters as the Unicode standard has them for regular expressions; superscripts are none. */
const WORD_CHARACTER = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const WHITE_SPACE = /\p{White_Space}/u
/** Of the UTF-16 units that were met. */
const kindOfUnit = new Uint8Array(65_536)

/** Places of the cache; 12 bytes each. */
const CACHE_SIZE = 2 ** 21

/**
 * Reads the hashed n-grams of texts as DSIR does (arXiv 2302.03169): lower case; tokens are maximal runs of word characters or of other characters
 * that are no white space; the bucket of an n-gram, joined by single spaces, is int(sha256(utf8), 16) mod `buckets`.
 *
 * Buckets of n-grams that came before are remembered under hashes of 64 bits, in a table of fixed size: one n-gram is taken for another with a
 * chance of about 1e-13 a look-up.
 */
export class GramScanner {
  /** Buckets of the last text's n-grams, in no order that means anything; longer than the text has n-grams. */
  bucket = new Uint32Array(1024)
  readonly #ngrams: number
  readonly #sha256: Sha256Remainder
  readonly #cacheLow = new Uint32Array(CACHE_SIZE)
  readonly #cacheHigh = new Uint32Array(CACHE_SIZE)
  /** Plus 1; 0 where there is none. */
  readonly #cachedBucket = new Uint32Array(CACHE_SIZE)
  /** Of the tokens of the last text: where they begin and end, and the halves of their hashes. */
  #start = new Uint32Array(1024)
  #end = new Uint32Array(1024)
  #low = new Uint32Array(1024)
  #high = new Uint32Array(1024)

  /** @param ngrams  Longest n-grams, in tokens. @param buckets  At most `MAX_MODULUS`. */
  constructor(ngrams: number, buckets: number) {
    this.#ngrams = ngrams
    this.#sha256 = new Sha256Remainder(buckets)
  }

  /** @returns How many tokens and n-grams (tokens included) the text has; the buckets of these are in `bucket` until the next call. */
  scan(text: string): { readonly numTokens: number; readonly numGrams: number } {
    const lower = text.toLowerCase()
    const numTokens = this.#findTokens(lower)
    this.#makeRoomForGrams(numTokens * this.#ngrams)
    const [lows, highs, bucket] = [this.#low, this.#high, this.bucket]
    let numGrams = 0
    for (let first = 0; first < numTokens; first++) {
      let low = lows[first]!
      let high = highs[first]!
      bucket[numGrams++] = this.#bucketOf(lower, first, first, low, high)
      const end = Math.min(numTokens, first + this.#ngrams)
      for (let last = first + 1; last < end; last++) {
        low = finish(Math.imul(low, 0x9e3779b1) ^ lows[last]!)
        high = finish(Math.imul((high << 7) | (high >>> 25), 0x85ebca6b) ^ highs[last]!)
        bucket[numGrams++] = this.#bucketOf(lower, first, last, low >>> 0, high >>> 0)
      }
    }
    return { numTokens, numGrams }
  }

  #findTokens(lower: string): number {
    let count = 0
    let kind = SPACE
    let [h1, h2] = [0, 0]
    for (let i = 0; i <= lower.length; ) {
      const unit = i < lower.length ? lower.charCodeAt(i) : 32
      let next = kindOfUnit[unit]!
      let width = 1
      if (next === UNKNOWN) {
        // The end of the text is a space.
        const codePoint = lower.codePointAt(i) ?? unit
        next = kindOf(codePoint)
        if (codePoint > 0xffff) width = 2
        else if (!isHighSurrogate(unit)) kindOfUnit[unit] = next
      }
      if (next !== kind) {
        if (kind !== SPACE) {
          this.#end[count] = i
          this.#low[count] = finish(h1)
          this.#high[count++] = finish(h2)
        }
        if (next !== SPACE) {
          this.#makeRoomForTokens(count)
          this.#start[count] = i
        }
        kind = next
        h1 = h2 = 0
      }
      for (const end = i + width; i < end; i++) {
        const code = lower.charCodeAt(i)
        h1 = Math.imul(h1 ^ (code + 1), 0x01000193)
        h2 = Math.imul(((h2 << 13) | (h2 >>> 19)) ^ (code + 1), 0x85ebca6b)
      }
    }
    return count
  }

  /** Of the n-gram of tokens `first` to `last`, whose hash is given. */
  #bucketOf(lower: string, first: number, last: number, low: number, high: number): number {
    const place = low & (CACHE_SIZE - 1)
    const cached = this.#cachedBucket[place]!
    if (cached !== 0 && this.#cacheLow[place] === low && this.#cacheHigh[place] === high) return cached - 1
    const sha256 = this.#sha256
    sha256.begin()
    for (let token = first; token <= last; token++) {
      if (token > first) sha256.push(0x20)
      pushUtf8(sha256, lower, this.#start[token]!, this.#end[token]!)
    }
    const bucket = sha256.end()
    this.#cacheLow[place] = low
    this.#cacheHigh[place] = high
    this.#cachedBucket[place] = bucket + 1
    return bucket
  }

  #makeRoomForTokens(count: number): void {
    if (count < this.#start.length) return
    this.#start = twice(this.#start)
    this.#end = twice(this.#end)
    this.#low = twice(this.#low)
    this.#high = twice(this.#high)
  }

  #makeRoomForGrams(count: number): void {
    if (count > this.bucket.length) this.bucket = new Uint32Array(2 * count)
  }
}

function kindOf(codePoint: number): number {
  const character = String.fromCodePoint(codePoint)
  return WORD_CHARACTER.test(character) ? WORD : WHITE_SPACE.test(character) ? SPACE : OTHER
}

const isHighSurrogate = (unit: number): boolean => (unit & 0xfc00) === 0xd800

/** The bytes of a part of a text; half a surrogate pair is U+FFFD, as `TextEncoder` has it. */
function pushUtf8(sha256: Sha256Remainder, text: string, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    let code = text.charCodeAt(i)
    if (code < 0x80) {
      sha256.push(code)
      continue
    }
    if ((code & 0xf800) === 0xd800) {
      const next = i + 1 < end && isHighSurrogate(code) ? text.charCodeAt(i + 1) : 0
      if ((next & 0xfc00) === 0xdc00) {
        code = 0x10000 + ((code & 0x3ff) << 10) + (next & 0x3ff)
        i++
      } else code = 0xfffd
    }
    if (code < 0x800) sha256.push(0xc0 | (code >> 6))
    else {
      if (code < 0x10000) sha256.push(0xe0 | (code >> 12))
      else {
        sha256.push(0xf0 | (code >> 18))
        sha256.push(0x80 | ((code >> 12) & 0x3f))
      }
      sha256.push(0x80 | ((code >> 6) & 0x3f))
    }
    sha256.push(0x80 | (code & 0x3f))
  }
}

/** Spreads what the last characters changed over all bits. */
function finish(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return h ^ (h >>> 13)
}

function twice(values: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * values.length)
  larger.set(values)
  return larger
}
