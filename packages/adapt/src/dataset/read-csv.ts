import { type Line, MAX_LINE_BYTES } from './split-lines.js'

const QUOTE = 0x22
const RETURN = 0x0d
const NEWLINE = 0x0a

/** One record of a CSV file: the bytes of its fields, without the quotes around them. */
export interface CsvRecord extends Omit<Line, 'bytes'> {
  /** An empty field without quotes is undefined. */
  readonly fields: readonly (Buffer | undefined)[]
}

/**
 * Cuts a CSV stream into records (RFC 4180): fields in quotes may hold separators, line ends and doubled quotes; a record
 * is numbered by the line on which it begins. Blank lines are passed over. A quote within a field that does not begin
 * with one is a character like others.
 *
 * @param separator  A byte. @param refuse  Throws the error for what is no CSV, at a place in it.
 */
export async function* splitCsv(
  chunks: AsyncIterable<Buffer>,
  separator: number,
  refuse: (place: Omit<Line, 'bytes'>, problem: string) => never,
): AsyncGenerator<readonly CsvRecord[], void, undefined> {
  const scanner = new CsvScanner(separator, refuse)
  let held: Buffer[] = []
  let numHeld = 0
  let numWanted = 1
  for await (const chunk of chunks) {
    held.push(chunk)
    numHeld += chunk.length
    // A record that does not end is read again from its beginning: only when there is much more of it.
    if (numHeld < numWanted) continue
    const rest = yield* scanner.scan(held.length === 1 ? chunk : Buffer.concat(held), false)
    held = rest.length === 0 ? [] : [rest]
    numHeld = rest.length
    numWanted = 2 * rest.length + 1
  }
  if (numHeld > 0) yield* scanner.scan(Buffer.concat(held), true)
}

class CsvScanner {
  #number = 1
  #byteOffset = 0

  constructor(
    private readonly separator: number,
    private readonly refuse: (place: Omit<Line, 'bytes'>, problem: string) => never,
  ) {}

  /** The records of a stretch of the file; returns the bytes behind the last one that is whole. */
  *scan(bytes: Buffer, isLast: boolean): Generator<readonly CsvRecord[], Buffer, undefined> {
    const records: CsvRecord[] = []
    let at = 0
    for (;;) {
      const found = this.#record(bytes, at, isLast)
      if (found === undefined) break
      const { record, end, numLines } = found
      if (record.fields.length > 1 || record.fields[0] !== undefined) records.push(record)
      this.#number += numLines
      this.#byteOffset += end - at
      at = end
    }
    if (records.length > 0) yield records
    if (bytes.length - at > MAX_LINE_BYTES) this.#tooLong()
    return bytes.subarray(at)
  }

  #tooLong(): never {
    const place = { number: this.#number, byteOffset: this.#byteOffset }
    return this.refuse(
      place,
      `expected a record of at most ${MAX_LINE_BYTES} bytes; is a quote left open here?`,
    )
  }

  /** The record at a place; undefined when it does not end in these bytes. */
  #record(bytes: Buffer, start: number, isLast: boolean) {
    if (start >= bytes.length) return undefined
    const fields: (Buffer | undefined)[] = []
    let numLines = 0
    let at = start
    for (;;) {
      if (bytes[at] === QUOTE) {
        const close = closingQuote(bytes, at)
        if (close < 0) {
          if (!isLast) return undefined
          this.refuse(
            { number: this.#number + numLines, byteOffset: this.#byteOffset + at - start },
            'expected the closing quote of this field, received the end of the file',
          )
        }
        // Whether the quote is doubled is said by what comes.
        if (close + 1 === bytes.length && !isLast) return undefined
        const field = bytes.subarray(at + 1, close)
        for (const byte of field) if (byte === NEWLINE) numLines += 1
        fields.push(withoutDoubledQuotes(field))
        at = close + 1
      } else {
        let end = at
        while (end < bytes.length && bytes[end] !== this.separator && bytes[end] !== NEWLINE) end += 1
        if (end === bytes.length && !isLast) return undefined
        const stop = bytes[end] !== this.separator && bytes[end - 1] === RETURN && end > at ? end - 1 : end
        const field = bytes.subarray(at, stop)
        // Spreadsheets and Python take it for the end of a line.
        if (field.includes(RETURN)) {
          this.refuse(
            { number: this.#number + numLines, byteOffset: this.#byteOffset + at - start },
            'expected lines that end with a line feed, received a carriage return alone; put quotes around the field or convert the line ends',
          )
        }
        fields.push(stop === at ? undefined : field)
        at = stop
      }
      if (bytes[at] === RETURN && (at + 1 === bytes.length || bytes[at + 1] === NEWLINE)) {
        if (at + 1 === bytes.length && !isLast) return undefined
        at += 1
      }
      if (at >= bytes.length || bytes[at] === NEWLINE) {
        const record = { number: this.#number, byteOffset: this.#byteOffset, fields }
        return { record, end: Math.min(bytes.length, at + 1), numLines: numLines + 1 }
      }
      if (bytes[at] !== this.separator) {
        const place = { number: this.#number + numLines, byteOffset: this.#byteOffset + at - start }
        this.refuse(
          place,
          'expected a separator or the end of the line behind a closing quote; double quotes inside a field',
        )
      }
      at += 1
    }
  }
}

function closingQuote(bytes: Buffer, open: number): number {
  for (let from = open + 1; ; ) {
    const quote = bytes.indexOf(QUOTE, from)
    if (quote < 0 || bytes[quote + 1] !== QUOTE) return quote
    from = quote + 2
  }
}

function withoutDoubledQuotes(field: Buffer): Buffer {
  if (!field.includes(QUOTE)) return field
  const out = Buffer.alloc(field.length)
  let length = 0
  for (let at = 0; at < field.length; at++) {
    out[length++] = field[at]!
    if (field[at] === QUOTE) at += 1
  }
  return out.subarray(0, length)
}
