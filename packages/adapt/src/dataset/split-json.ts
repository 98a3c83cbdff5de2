import { type Line, MAX_LINE_BYTES } from './split-lines.js'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const NEWLINE = 0x0a

/**
 * Cuts a JSON file into records: the items of one array, or objects after one another with white space between them. They
 * are numbered from 1, because several may stand on one line. Whether one is valid JSON is left to its reader.
 *
 * @param refuse  Throws the error for a file of another shape, at a place in it.
 */
export async function* splitJson(
  chunks: AsyncIterable<Buffer>,
  refuse: (place: Place, problem: string) => never,
): AsyncGenerator<readonly Line[], void, undefined> {
  const splitter = new JsonSplitter(refuse)
  for await (const chunk of chunks) yield splitter.push(chunk)
  splitter.end()
}

type Place = Omit<Line, 'bytes'>

/** What may come next, outside of an item. */
type Expected = 'start' | 'first item' | 'item' | 'comma' | 'object' | 'nothing'

class JsonSplitter {
  #expected: Expected = 'start'
  #held: Buffer = Buffer.alloc(0)
  /** Place in `held` that is looked at next. */
  #at = 0
  #heldOffset = 0
  #fileLine = 1
  /** Of the item that is read, or comes next. */
  #number = 1
  /** Brackets that are open in the item; -1 outside of one. */
  #depth = -1
  #isInString = false
  #start: Place = { number: 1, byteOffset: 0, fileLine: 1 }

  constructor(private readonly refuse: (place: Place, problem: string) => never) {}

  push(chunk: Buffer): Line[] {
    const keep = this.#depth < 0 ? this.#at : this.#start.byteOffset - this.#heldOffset
    this.#held = keep === this.#held.length ? chunk : Buffer.concat([this.#held.subarray(keep), chunk])
    this.#heldOffset += keep
    this.#at -= keep
    const items: Line[] = []
    while (this.#at < this.#held.length) {
      if (this.#depth >= 0) this.#readItem(items)
      else this.#readBetween(items)
    }
    const numHeld = this.#heldOffset + this.#held.length - this.#start.byteOffset
    if (this.#depth >= 0 && numHeld > MAX_LINE_BYTES) this.#tooLong()
    return items
  }

  end(): void {
    if (
      this.#depth >= 0 ||
      this.#expected === 'item' ||
      this.#expected === 'comma' ||
      this.#expected === 'first item'
    ) {
      this.refuse(this.#here(), 'the file ends within its JSON; fetch or write it again')
    }
  }

  #here(): Place {
    return { number: this.#number, byteOffset: this.#heldOffset + this.#at, fileLine: this.#fileLine }
  }

  #tooLong(): never {
    return this.refuse(
      this.#start,
      `expected records of at most ${MAX_LINE_BYTES} bytes; if this is one object with a list inside, write the list as an ` +
        'array or as .jsonl',
    )
  }

  #item(): Line {
    const bytes = this.#held.subarray(this.#start.byteOffset - this.#heldOffset, this.#at)
    this.#depth = -1
    this.#number += 1
    if (bytes.length > MAX_LINE_BYTES) this.#tooLong()
    return { ...this.#start, bytes }
  }

  /** White space, commas and the brackets of the array. */
  #readBetween(items: Line[]): void {
    const byte = this.#held[this.#at]!
    if (byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === NEWLINE) {
      if (byte === NEWLINE) this.#fileLine += 1
      this.#at += 1
      return
    }
    const expected = this.#expected
    if (expected === 'start' && byte === 0x5b) {
      this.#expected = 'first item'
      this.#at += 1
    } else if (expected === 'comma' && byte === COMMA) {
      this.#expected = 'item'
      this.#at += 1
    } else if ((expected === 'comma' || expected === 'first item') && byte === 0x5d) {
      this.#expected = 'nothing'
      this.#at += 1
    } else if (expected === 'item' || expected === 'first item') {
      if (byte === COMMA || byte === 0x5d)
        this.refuse(this.#here(), 'expected an item of the array, received none')
      this.#begin('comma')
      this.#readItem(items)
    } else if ((expected === 'start' || expected === 'object') && byte === 0x7b) {
      this.#begin('object')
      this.#readItem(items)
    } else if (expected === 'start') {
      this.refuse(this.#here(), 'expected an array of records, or records after one another')
    } else if (expected === 'comma') {
      this.refuse(this.#here(), 'expected a comma or the end of the array')
    } else {
      this.refuse(
        this.#here(),
        `expected ${expected === 'object' ? 'another record or the end' : 'the end'} of the file`,
      )
    }
  }

  #begin(next: Expected): void {
    this.#expected = next
    this.#start = this.#here()
    this.#depth = 0
    this.#isInString = false
  }

  /** Reads on in an item, to its end or that of what is held. */
  #readItem(items: Line[]): void {
    const held = this.#held
    for (; this.#at < held.length; this.#at++) {
      if (this.#isInString && !this.#skipString()) return
      const byte = held[this.#at]!
      if (byte === QUOTE) {
        this.#isInString = true
      } else if (byte === 0x7b || byte === 0x5b) {
        this.#depth += 1
      } else if (byte === 0x7d || byte === 0x5d) {
        if (this.#depth === 0) {
          // The end of the array behind an item that has no brackets.
          items.push(this.#item())
          return
        }
        this.#depth -= 1
        if (this.#depth === 0) {
          this.#at += 1
          items.push(this.#item())
          return
        }
      } else if (byte === COMMA && this.#depth === 0) {
        items.push(this.#item())
        return
      } else if (byte === NEWLINE) {
        this.#fileLine += 1
      }
    }
  }

  /** Goes behind the closing quote; false when it is not in what is held. */
  #skipString(): boolean {
    for (let from = this.#at; ; ) {
      const quote = this.#held.indexOf(QUOTE, from)
      if (quote < 0) {
        // A run of backslashes at the end belongs to what comes.
        this.#at = this.#held.length
        return false
      }
      let before = quote - 1
      while (this.#held[before] === BACKSLASH) before -= 1
      if ((quote - 1 - before) % 2 === 0) {
        this.#isInString = false
        this.#at = quote + 1
        return this.#at < this.#held.length
      }
      from = quote + 1
    }
  }
}
