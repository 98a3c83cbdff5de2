import { doubled } from './doubled.js'

/** 2^24 bits: most windows of the data are turned away here, at the cost of one read. */
const FILTER_BITS = 24

/**
 * Which items hold a window of words, keyed by its two hashes (53 bits are kept: with a million entries and a
 * billion lookups a false match has a chance of about 1 in 10). Open addressing over typed arrays: 24 bytes an
 * entry, where a Map of numbers takes a hundred.
 */
export class GramTable {
  private readonly filter = new Uint32Array(2 ** (FILTER_BITS - 5))
  private keys = new Float64Array(1024)
  /** First entry of the list of a key, plus 1; 0 is none. */
  private heads = new Int32Array(1024)
  private numKeys = 0
  private items = new Int32Array(1024)
  /** Next entry of the list, plus 1. */
  private next = new Int32Array(1024)
  private numEntries = 0

  /** Enters an item under the two hashes of a window. */
  add(a: number, b: number, item: number): void {
    if (2 * this.numKeys >= this.keys.length) this.grow()
    const bit = a >>> (32 - FILTER_BITS)
    this.filter[bit >>> 5]! |= 1 << (bit & 31)
    const slot = this.slotOf(keyOf(a, b))
    if (this.heads[slot] === 0) {
      this.keys[slot] = keyOf(a, b)
      this.numKeys += 1
    } else if (this.items[this.heads[slot]! - 1] === item) {
      return
    }
    if (this.numEntries === this.items.length) {
      this.items = doubled(this.items)
      this.next = doubled(this.next)
    }
    this.items[this.numEntries] = item
    this.next[this.numEntries] = this.heads[slot]!
    this.numEntries += 1
    this.heads[slot] = this.numEntries
  }

  /** The entry list of a window, or 0 when no item holds it. */
  find(a: number, b: number): number {
    const bit = a >>> (32 - FILTER_BITS)
    if (((this.filter[bit >>> 5]! >>> (bit & 31)) & 1) === 0) return 0
    return this.heads[this.slotOf(keyOf(a, b))]!
  }

  /**
   * Visits the items of a list, then keeps one of each group in it: what is common to thousands of items is walked
   * through once, not for every document that holds it too.
   */
  visit(list: number, groupOf: Int32Array, onItem: (item: number) => void): void {
    const seen: number[] = []
    let kept = 0
    for (let entry = list; entry !== 0; ) {
      const at = entry - 1
      const item = this.items[at]!
      entry = this.next[at]!
      onItem(item)
      if (seen.includes(groupOf[item]!)) {
        this.next[kept - 1] = entry
      } else {
        seen.push(groupOf[item]!)
        kept = at + 1
      }
    }
  }

  private slotOf(key: number): number {
    const mask = this.keys.length - 1
    // The low bits of the key come from one hash, the high ones from the other.
    let slot = (Math.imul((key % 2 ** 32) | 0, 0x9e3779b1) >>> 8) & mask
    while (this.heads[slot] !== 0 && this.keys[slot] !== key) slot = (slot + 1) & mask
    return slot
  }

  private grow(): void {
    const { keys, heads } = this
    this.keys = new Float64Array(2 * keys.length)
    this.heads = new Int32Array(2 * heads.length)
    for (const [slot, head] of heads.entries()) {
      if (head === 0) continue
      const place = this.slotOf(keys[slot]!)
      this.keys[place] = keys[slot]!
      this.heads[place] = head
    }
  }
}

function keyOf(a: number, b: number): number {
  return (a >>> 0) * 2 ** 21 + (b >>> 11)
}
