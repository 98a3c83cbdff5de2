import { quote, SafetensorsError, type SafetensorsErrorCode } from './safetensors-error.js'

export const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const BRACKET_OPEN = 0x5b
const BACKSLASH = 0x5c
const BRACKET_CLOSE = 0x5d
export const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
export const SPACE = 0x20

/**
 * Just the JSON a header may hold: objects, strings, and arrays of whole numbers. There is no recursion over the
 * input, so depth cannot hurt.
 */
export class HeaderScanner {
  readonly #bytes: Uint8Array
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Calls `field` at the value of each key. */
  object(field: (key: string) => void): void {
    this.#expect(BRACE_OPEN, '"{"')
    if (this.peek() === BRACE_CLOSE) {
      this.#at++
      return
    }
    for (;;) {
      const key = this.string()
      this.#expect(COLON, '":"')
      field(key)
      const next = this.peek()
      if (next !== COMMA && next !== BRACE_CLOSE) throw this.unexpected('"," or "}"')
      this.#at++
      if (next === BRACE_CLOSE) return
    }
  }

  /** An array of non-negative integers below 2^53, written without sign, fraction or exponent. */
  integers(name: string): number[] {
    const values: number[] = []
    this.#expect(BRACKET_OPEN, '"["')
    if (this.peek() === BRACKET_CLOSE) {
      this.#at++
      return values
    }
    for (;;) {
      values.push(this.#integer(name))
      const next = this.peek()
      if (next !== COMMA && next !== BRACKET_CLOSE) {
        throw this.unexpected('"," or "]" after a whole number', 'SAFETENSORS_NUMBER')
      }
      this.#at++
      if (next === BRACKET_CLOSE) return values
    }
  }

  string(): string {
    this.#expect(QUOTE, 'a string')
    const start = this.#at
    let escaped = false
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined) throw this.unexpected('the end of a string')
      if (byte < SPACE) throw this.unexpected('no bare control character in a string')
      if (byte === QUOTE) break
      if (byte === BACKSLASH) {
        escaped = true
        this.#at++
      }
      this.#at++
    }
    const raw = this.#decode(start, this.#at)
    this.#at++
    return escaped ? this.#unescape(raw, start) : raw
  }

  /** The next byte that is not white space, not consumed. */
  peek(): number | undefined {
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte !== SPACE && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return byte
      this.#at++
    }
  }

  /** Nothing but white space may follow: hidden bytes would make a file that two readers see differently. */
  end(): void {
    if (this.peek() !== undefined) throw this.unexpected('nothing after the closing "}"')
  }

  unexpected(expected: string, code: SafetensorsErrorCode = 'SAFETENSORS_HEADER'): SafetensorsError {
    const byte = this.#bytes[this.#at]
    const found = byte === undefined ? 'the end' : `0x${byte.toString(16).padStart(2, '0')}`
    const message = `expected ${expected}, found ${found} at byte ${this.#at} of the header`
    return new SafetensorsError(code, message, { byteOffset: this.#at })
  }

  #expect(byte: number, name: string): void {
    if (this.peek() !== byte) throw this.unexpected(name)
    this.#at++
  }

  #integer(name: string): number {
    const first = this.peek()
    if (first === undefined || first < ZERO || first > NINE) {
      throw this.unexpected(`a whole number >= 0 in tensor ${quote(name)}`, 'SAFETENSORS_NUMBER')
    }
    let value = 0
    const start = this.#at
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined || byte < ZERO || byte > NINE) break
      value = value * 10 + (byte - ZERO)
      if (value > Number.MAX_SAFE_INTEGER) {
        throw this.unexpected(`a number below 2^53 in tensor ${quote(name)}`, 'SAFETENSORS_NUMBER')
      }
      this.#at++
    }
    if (first === ZERO && this.#at > start + 1) {
      throw this.unexpected('no leading zeros in a number', 'SAFETENSORS_NUMBER')
    }
    return value
  }

  #decode(start: number, end: number): string {
    try {
      return this.#utf8.decode(this.#bytes.subarray(start, end))
    } catch {
      const message = `expected UTF-8 at bytes ${start} to ${end} of the header`
      throw new SafetensorsError('SAFETENSORS_UTF8', message, { byteOffset: start })
    }
  }

  #unescape(raw: string, start: number): string {
    let text: string
    try {
      text = JSON.parse(`"${raw}"`) as string
    } catch {
      const message = `expected valid escapes in the string at byte ${start} of the header`
      throw new SafetensorsError('SAFETENSORS_HEADER', message, { byteOffset: start })
    }
    if (/\p{Surrogate}/u.test(text)) {
      const message = `expected whole characters in the string at byte ${start} of the header, found half of a pair`
      throw new SafetensorsError('SAFETENSORS_UTF8', message, { byteOffset: start })
    }
    return text
  }
}
