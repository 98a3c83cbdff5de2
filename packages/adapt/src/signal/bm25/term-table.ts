/** Most of a table's places that are filled before it grows. */
const MAX_LOAD = 0.6

/** Numbers terms (given as hashes of 64 bits) in the order in which they come: a hash table of 12 to 24 bytes a term. */
export class TermTable {
  #low = new Uint32Array(1024)
  #high = new Uint32Array(1024)
  /** Number of the term in a place, plus 1; 0 where there is none. */
  #number = new Uint32Array(1024)
  #size = 0

  /** How many terms there are. */
  get size(): number {
    return this.#size
  }

  /** Number of a term, from 0; -1 for one that is not there. */
  find(low: number, high: number): number {
    return this.#number[this.#placeOf(low, high)]! - 1
  }

  /** Number of a term, which is put there if it is new. */
  add(low: number, high: number): number {
    const place = this.#placeOf(low, high)
    if (this.#number[place] !== 0) return this.#number[place]! - 1
    this.#low[place] = low
    this.#high[place] = high
    this.#number[place] = ++this.#size
    if (this.#size > MAX_LOAD * this.#number.length) this.#grow()
    return this.#size - 1
  }

  #placeOf(low: number, high: number): number {
    const [lows, highs, numbers] = [this.#low, this.#high, this.#number]
    const mask = numbers.length - 1
    let place = low & mask
    while (numbers[place] !== 0 && (lows[place] !== low || highs[place] !== high)) place = (place + 1) & mask
    return place
  }

  #grow(): void {
    const [lows, highs, numbers] = [this.#low, this.#high, this.#number]
    this.#low = new Uint32Array(2 * lows.length)
    this.#high = new Uint32Array(2 * lows.length)
    this.#number = new Uint32Array(2 * lows.length)
    for (let i = 0; i < numbers.length; i++) {
      if (numbers[i] === 0) continue
      const place = this.#placeOf(lows[i]!, highs[i]!)
      this.#low[place] = lows[i]!
      this.#high[place] = highs[i]!
      this.#number[place] = numbers[i]!
    }
  }
}
