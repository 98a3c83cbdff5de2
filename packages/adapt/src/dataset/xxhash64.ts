/** 64-bit words as two halves: index 0 the low, 1 the high one. */
type Word = Uint32Array

const PRIMES = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
].map(toWord)
const [P1, P2, P3, P4, P5] = PRIMES as [Word, Word, Word, Word, Word]
const STRIPE_BYTES = 32

/**
 * XXH64 with seed 0 of a stream, the checksum of Zstandard frames. In 32-bit halves, because 64-bit integers of
 * JavaScript are ten times slower.
 */
export class XxHash64 {
  readonly #lanes = [
    toWord(0x60ea27eeadc0b5d6n),
    toWord(0xc2b2ae3d27d4eb4fn),
    toWord(0n),
    toWord(0x61c8864e7a143579n),
  ]
  readonly #rest = Buffer.alloc(STRIPE_BYTES)
  #numRest = 0
  #length = 0

  update(bytes: Uint8Array): void {
    this.#length += bytes.length
    let at = 0
    if (this.#numRest > 0) {
      at = Math.min(STRIPE_BYTES - this.#numRest, bytes.length)
      this.#rest.set(bytes.subarray(0, at), this.#numRest)
      this.#numRest += at
      if (this.#numRest < STRIPE_BYTES) return
      this.#stripe(this.#rest, 0)
      this.#numRest = 0
    }
    for (; at + STRIPE_BYTES <= bytes.length; at += STRIPE_BYTES) this.#stripe(bytes, at)
    this.#rest.set(bytes.subarray(at))
    this.#numRest = bytes.length - at
  }

  /** The low 32 bits of the hash, which are what a frame holds. */
  low32(): number {
    const hash = new Uint32Array(2)
    if (this.#length < STRIPE_BYTES) {
      hash.set(P5)
    } else {
      for (const [i, by] of [1, 7, 12, 18].entries()) add(hash, rotate(Uint32Array.from(this.#lanes[i]!), by))
      for (const lane of this.#lanes) {
        xor(hash, round(new Uint32Array(2), lane))
        multiply(hash, P1)
        add(hash, P4)
      }
    }
    add(hash, toWord(BigInt(this.#length)))
    this.#finish(hash)
    return hash[0]!
  }

  #stripe(bytes: Uint8Array, at: number): void {
    for (let lane = 0; lane < 4; lane++) round(this.#lanes[lane]!, wordAt(bytes, at + 8 * lane))
  }

  #finish(hash: Word): void {
    let at = 0
    for (; at + 8 <= this.#numRest; at += 8) {
      xor(hash, round(new Uint32Array(2), wordAt(this.#rest, at)))
      rotate(hash, 27)
      multiply(hash, P1)
      add(hash, P4)
    }
    if (at + 4 <= this.#numRest) {
      xor(hash, multiply(Uint32Array.of(this.#rest.readUInt32LE(at), 0), P1))
      rotate(hash, 23)
      multiply(hash, P2)
      add(hash, P3)
      at += 4
    }
    for (; at < this.#numRest; at++) {
      xor(hash, multiply(Uint32Array.of(this.#rest[at]!, 0), P5))
      rotate(hash, 11)
      multiply(hash, P1)
    }
    for (const [by, prime] of [
      [33, P2],
      [29, P3],
      [32, undefined],
    ] as const) {
      xor(hash, shifted(hash, by))
      if (prime) multiply(hash, prime)
    }
  }
}

const scratch = new Uint32Array(2)

/** A word of the stream; valid until the next call. */
function wordAt(bytes: Uint8Array, at: number): Word {
  scratch[0] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  scratch[1] = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
  return scratch
}

function toWord(value: bigint): Word {
  return Uint32Array.of(Number(value & 0xffffffffn), Number(value >> 32n))
}

/** lane = rotate(lane + input * P2, 31) * P1; uses up `input`. */
function round(lane: Word, input: Word): Word {
  add(lane, multiply(input, P2))
  rotate(lane, 31)
  return multiply(lane, P1)
}

function add(a: Word, b: Word): Word {
  const low = a[0]! + b[0]!
  a[0] = low
  a[1] = a[1]! + b[1]! + (low > 0xffffffff ? 1 : 0)
  return a
}

function xor(a: Word, b: Word): Word {
  a[0]! ^= b[0]!
  a[1]! ^= b[1]!
  return a
}

function multiply(a: Word, b: Word): Word {
  const low = a[0]!
  const high = a[1]!
  // The product of the low halves needs all of its 64 bits: by 16-bit digits.
  const a0 = low & 0xffff
  const a1 = low >>> 16
  const b0 = b[0]! & 0xffff
  const b1 = b[0]! >>> 16
  const middle = a1 * b0 + ((a0 * b0) >>> 16)
  const carried = a0 * b1 + (middle & 0xffff)
  const carry = a1 * b1 + (middle >>> 16) + (carried >>> 16)
  a[0] = Math.imul(low, b[0]!)
  a[1] = carry + Math.imul(low, b[1]!) + Math.imul(high, b[0]!)
  return a
}

function rotate(a: Word, by: number): Word {
  const low = by < 32 ? a[0]! : a[1]!
  const high = by < 32 ? a[1]! : a[0]!
  const rest = by & 31
  a[0] = rest === 0 ? low : (low << rest) | (high >>> (32 - rest))
  a[1] = rest === 0 ? high : (high << rest) | (low >>> (32 - rest))
  return a
}

/** A new word: a >>> by, for 0 < by < 64. */
function shifted(a: Word, by: number): Word {
  if (by >= 32) return Uint32Array.of(a[1]! >>> (by - 32), 0)
  return Uint32Array.of((a[0]! >>> by) | (a[1]! << (32 - by)), a[1]! >>> by)
}
