/** Largest number that a hash is divided by: sums of eight products of a word and a remainder stay exact. */
export const MAX_MODULUS = 2 ** 18

/** The hash at its start, and what each round adds: the first 32 bits of the fractions of square and cube roots of the first primes. */
const PRIMES = firstPrimes(64)
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fractionBits(Math.sqrt(prime)))
const ROUND = Int32Array.from(PRIMES, (prime) => fractionBits(Math.cbrt(prime)))

/** SHA-256 of bytes that come one by one, divided by a number: without a string or an object for each message. FIPS 180-4. */
export class Sha256Remainder {
  readonly #hash = new Int32Array(8)
  /** The schedule of a block: its bytes are the first 16. */
  readonly #words = new Int32Array(64)
  #numBytes = 0
  readonly #modulus: number
  /** What one unit of each word of the hash leaves: 2^(32 (7 - i)) mod the modulus. */
  readonly #powers: Float64Array

  /** @param modulus  1 to {@link MAX_MODULUS}. */
  constructor(modulus: number) {
    this.#modulus = modulus
    this.#powers = Float64Array.from({ length: 8 }, (_, i) =>
      Number(2n ** BigInt(32 * (7 - i)) % BigInt(modulus)),
    )
  }

  /** Forgets the last message. */
  begin(): void {
    this.#hash.set(START)
    this.#words.fill(0, 0, 16)
    this.#numBytes = 0
  }

  push(byte: number): void {
    const place = this.#numBytes++ & 63
    this.#words[place >> 2]! |= byte << (24 - 8 * (place & 3))
    if (place === 63) this.#mixBlock()
  }

  /** int(sha256, 16) mod modulus of what was pushed; the message is over. */
  end(): number {
    const numBytes = this.#numBytes
    this.push(0x80)
    while ((this.#numBytes & 63) !== 56) this.push(0)
    this.#words[14] = Math.floor(numBytes / 2 ** 29)
    this.#words[15] = numBytes << 3
    this.#mixBlock()
    let sum = 0
    for (let i = 0; i < 8; i++) sum += (this.#hash[i]! >>> 0) * this.#powers[i]!
    return sum % this.#modulus
  }

  #mixBlock(): void {
    const [hash, words] = [this.#hash, this.#words]
    for (let t = 16; t < 64; t++) {
      const [x, y] = [words[t - 15]!, words[t - 2]!]
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      words[t] = (words[t - 16]! + s0 + words[t - 7]! + s1) | 0
    }
    let a = hash[0]!
    let b = hash[1]!
    let c = hash[2]!
    let d = hash[3]!
    let e = hash[4]!
    let f = hash[5]!
    let g = hash[6]!
    let h = hash[7]!
    for (let t = 0; t < 64; t++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[t]! + words[t]!) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    hash[0] = (hash[0]! + a) | 0
    hash[1] = (hash[1]! + b) | 0
    hash[2] = (hash[2]! + c) | 0
    hash[3] = (hash[3]! + d) | 0
    hash[4] = (hash[4]! + e) | 0
    hash[5] = (hash[5]! + f) | 0
    hash[6] = (hash[6]! + g) | 0
    hash[7] = (hash[7]! + h) | 0
    words.fill(0, 0, 16)
  }
}

function firstPrimes(count: number): number[] {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n)
  return primes
}

function fractionBits(value: number): number {
  return Math.floor((value % 1) * 2 ** 32)
}
