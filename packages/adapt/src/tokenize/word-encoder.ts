import { endianness } from 'node:os'
import { KINDS, type WordRules } from './word-borders.js'
import { hashUnit, MAX_WORD_LENGTH, WordTable } from './word-table.js'

const IS_BIG_ENDIAN = endianness() === 'BE'
/** What asking for a word takes beside its length, in characters that the library encodes meanwhile. */
const ASKING = 20
/** Words that are learnt whatever they are: of the first texts all are new. */
const FIRST_WORDS = 1 << 14

/** Texts that go to the library, and the number of each. */
interface Asked {
  readonly texts: string[]
  readonly numbers: Map<string, number>
}

/**
 * Encodes texts word by word and asks the native library once for each word: most words of a text were in one before. Only for
 * tokenizers with `WordRules`. What was learnt is forgotten when it is too much.
 */
export class WordEncoder {
  readonly #holdsAdded: RegExp | undefined
  #table: WordTable | undefined
  /** Room for one text: its UTF-16 units, as bytes too, and the numbers of its words. */
  #units = new Uint16Array(0)
  #bytes = Buffer.alloc(0)
  #words = new Int32Array(0)

  /** @param addedTokens  Texts of tokens that are found before a text is split: a text that holds one goes to the library whole. */
  constructor(
    private readonly rules: WordRules,
    addedTokens: Iterable<string>,
  ) {
    const escaped = Array.from(addedTokens, (token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    this.#holdsAdded = escaped.length === 0 ? undefined : new RegExp(escaped.join('|'))
  }

  /**
   * Ids of each text, equal to those that the library gives the whole text.
   * @param encodeWhole  The library.
   */
  async encodeBatch(
    texts: readonly string[],
    encodeWhole: (texts: readonly string[]) => Promise<readonly Int32Array[]>,
  ): Promise<Int32Array[]> {
    if (this.#table === undefined || this.#table.isFull) this.#table = new WordTable()
    // Another call may put a new one in its place while this one waits.
    const table = this.#table
    const asked: Asked = { texts: [], numbers: new Map() }
    const split = texts.map((text) => this.#split(text, table, asked))
    const ids = asked.texts.length === 0 ? [] : await encodeWhole(asked.texts)
    for (const [i, word] of asked.texts.entries()) table.add(word, ids[i]!)
    return split.map((words) => joinIds(words, table, ids))
  }

  /** Numbers of the words of a text: of the table's, or `~number` of one that is asked for. */
  #split(text: string, table: WordTable, asked: Asked): Int32Array {
    if (this.#holdsAdded?.test(text)) return Int32Array.of(~numberOf(asked, text))
    this.#load(text)
    // What is looked up at each unit.
    const [kinds, units, words] = [KINDS, this.#units, this.#words]
    const { borders, dropsSpace } = this.rules
    const { length } = text
    const numBefore = asked.texts.length
    let numWords = 0
    let start = 0
    let hash = 0
    let before = 0
    for (let i = 0; i < length; i++) {
      const unit = units[i]!
      const kind = kinds[unit]!
      if (borders[8 * before + kind] === 1) {
        words[numWords++] = wordNumber(table, asked, text, units, start, i, hash)
        start = dropsSpace ? i + 1 : i
        hash = 0
      }
      if (i >= start) hash = hashUnit(hash, unit)
      before = kind
    }
    if (length > start) words[numWords++] = wordNumber(table, asked, text, units, start, length, hash)
    // Of nothing the library makes nothing, of a space at the end a token.
    const endsInBorder = length > 0 && start === length
    // Made of words that come once, such as numbers: quicker as a whole, and nothing worth keeping.
    if (endsInBorder || (table.size > FIRST_WORDS && costSince(asked, numBefore) > length)) {
      for (const word of asked.texts.splice(numBefore)) asked.numbers.delete(word)
      return Int32Array.of(~numberOf(asked, text))
    }
    return words.slice(0, numWords)
  }

  #load(text: string): void {
    const { length } = text
    if (length > this.#words.length) {
      this.#units = new Uint16Array(length)
      this.#bytes = Buffer.from(this.#units.buffer)
      this.#words = new Int32Array(length)
    }
    this.#bytes.write(text, 'utf16le')
    if (IS_BIG_ENDIAN) this.#bytes.swap16()
  }
}

function wordNumber(
  table: WordTable,
  asked: Asked,
  text: string,
  units: Uint16Array,
  start: number,
  end: number,
  hash: number,
): number {
  const known = end - start > MAX_WORD_LENGTH ? -1 : table.find(units, start, end, hash)
  return known >= 0 ? known : ~numberOf(asked, text.slice(start, end))
}

function numberOf({ texts, numbers }: Asked, text: string): number {
  let number = numbers.get(text)
  if (number === undefined) {
    number = texts.length
    numbers.set(text, number)
    texts.push(text)
  }
  return number
}

/** What the texts from one on take to be asked for, in characters. */
function costSince({ texts }: Asked, first: number): number {
  let cost = 0
  for (let i = first; i < texts.length; i++) cost += ASKING + texts[i]!.length
  return cost
}

function joinIds(words: Int32Array, table: WordTable, askedIds: readonly Int32Array[]): Int32Array {
  let numIds = 0
  for (const word of words) numIds += word >= 0 ? table.numIds(word) : askedIds[~word]!.length
  const joined = new Int32Array(numIds)
  let at = 0
  for (const word of words) {
    if (word >= 0) {
      at = table.copyIds(word, joined, at)
      continue
    }
    const ids = askedIds[~word]!
    joined.set(ids, at)
    at += ids.length
  }
  return joined
}
