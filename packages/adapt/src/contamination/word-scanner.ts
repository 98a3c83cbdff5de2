import { doubled } from './doubled.js'

const WORD = 1
const OTHER = 2
/** Of every UTF-16 unit that was met: part of a word or not. Halves of surrogate pairs are not. */
const kinds = new Uint8Array(65_536)

function isWordUnit(unit: number): boolean {
  let kind = kinds[unit]!
  if (kind === 0) {
    kind = /[\p{L}\p{N}\p{M}_]/u.test(String.fromCharCode(unit)) ? WORD : OTHER
    kinds[unit] = kind
  }
  return kind === WORD
}

/** Two hashes of each word of a text, in buffers that are used again for the next one. */
export class WordScanner {
  first = new Int32Array(1024)
  second = new Int32Array(1024)
  count = 0

  /** Finds the words: runs of letters, digits, marks and `_` (`\w+` for English) of the text in lower case. */
  scan(text: string): void {
    const lower = text.toLowerCase()
    this.count = 0
    let a = 0
    let b = 0
    let isInside = false
    for (let i = 0; i <= lower.length; i++) {
      const unit = i < lower.length ? lower.charCodeAt(i) : 0x20
      if (isWordUnit(unit)) {
        if (!isInside) {
          a = 0x811c9dc5 | 0
          b = 0x2f0b4a27
          isInside = true
        }
        a = Math.imul(a ^ unit, 0x01000193)
        b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 15)
      } else if (isInside) {
        isInside = false
        this.push(mix(a), mix(b))
      }
    }
  }

  private push(a: number, b: number): void {
    if (this.count === this.first.length) {
      this.first = doubled(this.first)
      this.second = doubled(this.second)
    }
    this.first[this.count] = a
    this.second[this.count] = b
    this.count += 1
  }
}

/** Words as text, as the scanner counts them. */
export function wordsOf(text: string): string[] {
  const lower = text.toLowerCase()
  const words: string[] = []
  let start = -1
  for (let i = 0; i <= lower.length; i++) {
    const isInside = i < lower.length && isWordUnit(lower.charCodeAt(i))
    if (isInside && start < 0) start = i
    if (isInside || start < 0) continue
    words.push(lower.slice(start, i))
    start = -1
  }
  return words
}

function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad)
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97)
  return h ^ (h >>> 15)
}

const BASE_A = 0x9e3779b1 | 0
const BASE_B = 0x85ebca77 | 0

/**
 * Calls back for every window of `length` words with two independent 32-bit hashes of it and its first word's
 * number. Rolling: the cost is that of the words, whatever the length.
 */
export function forEachGram(
  { first, second, count }: Pick<WordScanner, 'first' | 'second' | 'count'>,
  length: number,
  visit: (a: number, b: number, start: number) => void,
): void {
  if (count < length) return
  const lastA = power(BASE_A, length - 1)
  const lastB = power(BASE_B, length - 1)
  let a = 0
  let b = 0
  for (let i = 0; i < count; i++) {
    if (i >= length) {
      a = (a - Math.imul(first[i - length]!, lastA)) | 0
      b = (b - Math.imul(second[i - length]!, lastB)) | 0
    }
    a = (Math.imul(a, BASE_A) + first[i]!) | 0
    b = (Math.imul(b, BASE_B) + second[i]!) | 0
    if (i >= length - 1) visit(a, b, i - length + 1)
  }
}

function power(base: number, exponent: number): number {
  let result = 1
  for (let i = 0; i < exponent; i++) result = Math.imul(result, base)
  return result
}
