/** Words that a table keeps, and the longest one that it takes, in UTF-16 units. */
const MAX_WORDS = 1 << 17
export const MAX_WORD_LENGTH = 48

const NUM_SLOTS = 2 * MAX_WORDS
/** Texts are of others: they may be made so that their words meet in one place. */
const MAX_LOOKS = 32

/** Words with their ids, found by their place in a text, without a string of their own. Some 3 MB, and 25 bytes a word. */
export class WordTable {
  /** Of each slot, 1 + its word, or 0 for none, and the word's hash. */
  readonly #slots = new Int32Array(2 * NUM_SLOTS)
  /** Of each word, where its units and its ids begin; those of the next one end them. */
  readonly #starts = new Int32Array(2 * (MAX_WORDS + 1))
  #units = new Uint16Array(1 << 12)
  #ids = new Int32Array(1 << 11)
  #size = 0

  get size(): number {
    return this.#size
  }

  get isFull(): boolean {
    return this.#size === MAX_WORDS
  }

  /** Number of the word `text[start, end)`, or -1. @param hash  `hashUnit` of its units, in their order. */
  find(text: Uint16Array, start: number, end: number, hash: number): number {
    const length = end - start
    for (let look = 0, slot = firstSlot(hash); look < MAX_LOOKS; look++, slot = nextSlot(slot)) {
      const word = this.#slots[slot]! - 1
      if (word < 0) return -1
      if (this.#slots[slot + 1] !== hash) continue
      const first = this.#starts[2 * word]!
      if (this.#starts[2 * word + 2]! - first !== length) continue
      let same = 0
      while (same < length && this.#units[first + same] === text[start + same]) same++
      if (same === length) return word
    }
    return -1
  }

  /** Keeps a word, unless it is known, too long, or there is no place for it. */
  add(word: string, ids: Int32Array): void {
    const { length } = word
    if (length > MAX_WORD_LENGTH || this.isFull) return
    const units = Uint16Array.from({ length }, (_, i) => word.charCodeAt(i))
    const hash = units.reduce(hashUnit, 0)
    if (this.find(units, 0, length, hash) >= 0) return
    let slot = firstSlot(hash)
    for (let look = 0; this.#slots[slot] !== 0; look++, slot = nextSlot(slot)) {
      if (look === MAX_LOOKS) return
    }
    const number = this.#size++
    this.#slots[slot] = number + 1
    this.#slots[slot + 1] = hash
    const firstUnit = this.#starts[2 * number]!
    const firstId = this.#starts[2 * number + 1]!
    this.#starts[2 * number + 2] = firstUnit + length
    this.#starts[2 * number + 3] = firstId + ids.length
    this.#units = withRoom(this.#units, firstUnit + length)
    this.#ids = withRoom(this.#ids, firstId + ids.length)
    this.#units.set(units, firstUnit)
    this.#ids.set(ids, firstId)
  }

  numIds(word: number): number {
    return this.#starts[2 * word + 3]! - this.#starts[2 * word + 1]!
  }

  /** Writes the ids of a word. @returns where the next one's go. */
  copyIds(word: number, out: Int32Array, at: number): number {
    const end = this.#starts[2 * word + 3]!
    let place = at
    for (let i = this.#starts[2 * word + 1]!; i < end; i++) out[place++] = this.#ids[i]!
    return place
  }
}

/** The hash of a word and one more unit; that of no units is 0. */
export function hashUnit(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, 0x01000193)
}

/** The low bits of the hash depend on few units. */
function firstSlot(hash: number): number {
  return 2 * ((hash ^ (hash >>> 15)) & (NUM_SLOTS - 1))
}

function nextSlot(slot: number): number {
  return (slot + 2) & (2 * NUM_SLOTS - 1)
}

function withRoom<T extends Uint16Array | Int32Array>(array: T, length: number): T {
  if (length <= array.length) return array
  const larger = new (array.constructor as new (length: number) => T)(2 * length)
  larger.set(array)
  return larger
}
