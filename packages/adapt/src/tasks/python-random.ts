const N = 624
const M = 397

/**
 * The generator of Python's `random.Random(seed)`, so that the few-shot examples of a seed are those that Python draws: Mersenne Twister with
 * `init_by_array`.
 */
export class PythonRandom {
  private readonly state = new Uint32Array(N)
  private index = N

  /** @param seed  An integer >= 0 below 2^53. */
  constructor(seed: number) {
    const key = seed >= 2 ** 32 ? [seed % 2 ** 32, Math.floor(seed / 2 ** 32)] : [seed]
    const { state } = this
    state[0] = 19_650_218
    for (let i = 1; i < N; i++) state[i] = Math.imul(1_812_433_253, this.mixed(i)) + i
    let [i, j] = [1, 0]
    const wrap = (): void => {
      i += 1
      if (i < N) return
      state[0] = state[N - 1]!
      i = 1
    }
    for (let k = Math.max(N, key.length); k > 0; k--) {
      state[i] = (state[i]! ^ Math.imul(this.mixed(i), 1_664_525)) + key[j]! + j
      wrap()
      j = (j + 1) % key.length
    }
    for (let k = N - 1; k > 0; k--) {
      state[i] = (state[i]! ^ Math.imul(this.mixed(i), 1_566_083_941)) - i
      wrap()
    }
    state[0] = 0x80000000
  }

  private mixed(i: number): number {
    const previous = this.state[i - 1]!
    return previous ^ (previous >>> 30)
  }

  private next32(): number {
    if (this.index >= N) this.refill()
    let y = this.state[this.index++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    y ^= y >>> 18
    return y >>> 0
  }

  private refill(): void {
    const { state } = this
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff)
      state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.index = 0
  }

  /** In [0, 1), of 53 bits. */
  random(): number {
    const high = this.next32() >>> 5
    const low = this.next32() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  /** Below `n`; `n` from 1 to 2^32. */
  private below(n: number): number {
    const bits = Math.floor(Math.log2(n)) + 1
    for (;;) {
      const value = this.next32() >>> (32 - bits)
      if (value < n) return value
    }
  }

  /** `count` different items in the order in which they are drawn. @throws {RangeError} for more than there are. */
  sample<T>(items: readonly T[], count: number): T[] {
    const n = items.length
    if (count > n) throw new RangeError(`sample: asked for ${count} of ${n}`)
    const setSize = count > 5 ? 21 + 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 21
    if (n <= setSize) {
      const pool = [...items]
      return Array.from({ length: count }, (_, i) => {
        const j = this.below(n - i)
        const drawn = pool[j]!
        pool[j] = pool[n - i - 1]!
        return drawn
      })
    }
    const places = new Set<number>()
    return Array.from({ length: count }, () => {
      let j = this.below(n)
      while (places.has(j)) j = this.below(n)
      places.add(j)
      return items[j]!
    })
  }

  /** `count` items, each drawn from all of them. */
  choices<T>(items: readonly T[], count: number): T[] {
    return Array.from({ length: count }, () => items[Math.floor(this.random() * items.length)]!)
  }
}
