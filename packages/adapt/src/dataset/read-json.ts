import { type JsonValue, jsonFloat, jsonInteger, jsonObject, textsOf } from './json-value.js'
import { printable } from './printable.js'
import type { Fail } from './record-fields.js'
import { type JsonScan, scanJson } from './scan-json.js'

/** Deepest nesting of a record. */
export const MAX_JSON_DEPTH = 64

/** Python refuses longer integers too; reading them takes the square of their length. */
const MAX_DIGITS = 4300

/** A parsed text with what only the scan knows of it. */
export interface ReadJson extends JsonScan {
  readonly value: JsonValue
}

/**
 * Parses the JSON of a record as `JSON.parse`, but for keys given twice, which are an error, and for numbers and the
 * order of keys below the outermost level, which are kept as `JsonValue` describes.
 *
 * @param bytes  The text as UTF-8. @param expected  What the text should be, for messages.
 * @throws JSON_TOO_DEEP, BAD_JSON, DUPLICATE_KEY through `fail`.
 */
export function readJsonRecord(text: string, bytes: Buffer, expected: string, fail: Fail): ReadJson {
  const scan = scanJson(bytes, 2)
  const { parsed, exact } = read(text, scan, expected, fail)
  return { ...scan, value: exact === undefined ? parsed : withExact(parsed, exact) }
}

/**
 * The value of JSON inside a field, exact from the outermost level on.
 * @throws what `readJsonRecord` throws, and LONE_SURROGATE where an escape is half a character.
 */
export function readJsonField(text: string, fail: Fail): JsonValue {
  const { parsed, exact } = read(text, scanJson(Buffer.from(text)), 'JSON', fail)
  const value = exact ?? parsed
  if (text.includes('\\u') && /\p{Cs}/u.test(textsOf(value))) {
    fail('LONE_SURROGATE', 'a \\u escape is half of a surrogate pair; such text has no UTF-8 form')
  }
  return value
}

/** What the parser makes of a text, and the exact value where that is another one. */
function read(
  text: string,
  { depth, numKeys, isChanged }: JsonScan,
  expected: string,
  fail: Fail,
): { readonly parsed: JsonValue; readonly exact?: JsonValue } {
  if (depth > MAX_JSON_DEPTH) {
    fail('JSON_TOO_DEEP', `expected at most ${MAX_JSON_DEPTH} levels of nesting, received ${depth}`)
  }
  let parsed: JsonValue
  try {
    parsed = JSON.parse(text) as JsonValue
  } catch (error) {
    return fail('BAD_JSON', `expected ${expected}: ${printable((error as Error).message)}`, error)
  }
  // The exact reader names the key that is given twice.
  const isRepeated = numKeys !== countKeys(parsed)
  return isRepeated || isChanged ? { parsed, exact: new ExactReader(text, fail).read() } : { parsed }
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let numKeys = 0
  if (Array.isArray(value)) {
    for (const item of value) numKeys += countKeys(item)
  } else {
    for (const item of Object.values(value)) numKeys += 1 + countKeys(item)
  }
  return numKeys
}

/** The outermost object as the parser gave it, with its objects and lists from the exact reading. */
function withExact(parsed: JsonValue, exact: JsonValue): JsonValue {
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return exact
  const fields = exact instanceof Map ? exact : new Map(Object.entries(exact as object))
  const isContainer = (value: unknown) => typeof value === 'object' && value !== null
  return Object.fromEntries(
    Object.entries(parsed).map(([key, value]) => [key, isContainer(value) ? fields.get(key) : value]),
  ) as JsonValue
}

/** Reads a text that `JSON.parse` takes. */
class ExactReader {
  #at = 0
  readonly #path: string[] = []

  constructor(
    private readonly text: string,
    private readonly fail: Fail,
  ) {}

  read(): JsonValue {
    this.#skipBlanks()
    switch (this.text[this.#at]) {
      case '{':
        return this.#object()
      case '[':
        return this.#list()
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #object(): JsonValue {
    const entries = new Map<string, JsonValue>()
    this.#at += 1
    while (this.#next() !== '}') {
      const key = this.#string()
      this.#path.push(this.#path.length === 0 ? key : `.${key}`)
      if (entries.has(key)) {
        const place = printable(this.#path.join(''), 80)
        this.fail('DUPLICATE_KEY', `expected each key of an object once, received "${place}" twice`)
      }
      this.#next()
      entries.set(key, this.read())
      this.#path.pop()
    }
    this.#at += 1
    return jsonObject(entries)
  }

  #list(): JsonValue {
    const items: JsonValue[] = []
    this.#at += 1
    while (this.#next() !== ']') {
      this.#path.push(`[${items.length}]`)
      items.push(this.read())
      this.#path.pop()
    }
    this.#at += 1
    return items
  }

  #string(): string {
    const start = this.#at
    let end = this.text.indexOf('"', start + 1)
    while (this.#isEscaped(start, end)) end = this.text.indexOf('"', end + 1)
    this.#at = end + 1
    const written = this.text.slice(start + 1, end)
    return written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written
  }

  #isEscaped(start: number, quote: number): boolean {
    let before = quote - 1
    while (before > start && this.text[before] === '\\') before -= 1
    return (quote - 1 - before) % 2 === 1
  }

  #number(): JsonValue {
    const pattern = /-?[\d.eE+-]+/y
    pattern.lastIndex = this.#at
    const written = pattern.exec(this.text)![0]
    this.#at = pattern.lastIndex
    if (/[.eE]/.test(written)) return jsonFloat(Number(written))
    if (written.length > MAX_DIGITS) {
      this.fail('BAD_JSON', `expected integers of at most ${MAX_DIGITS} digits, received ${written.length}`)
    }
    return written.length < 16 ? Number(written) + 0 : jsonInteger(BigInt(written))
  }

  #word(word: string, value: JsonValue): JsonValue {
    this.#at += word.length
    return value
  }

  /** The next character that means something; what stands between keys, values and items is stepped over. */
  #next(): string {
    this.#skipBlanks()
    while (this.text[this.#at] === ',' || this.text[this.#at] === ':') {
      this.#at += 1
      this.#skipBlanks()
    }
    return this.text[this.#at]!
  }

  #skipBlanks(): void {
    while (' \t\n\r'.includes(this.text[this.#at]!)) this.#at += 1
  }
}
