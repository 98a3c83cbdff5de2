/** What a permutation is a function of. */
export interface PermutationKey {
  /** Integer in 0..2^53-1. */
  readonly seed: number
  readonly epoch: number
  /** Size of the permuted range, 1..2^53-1. */
  readonly numSamples: number
  /** Tells permutations for different uses apart. Default 0. */
  readonly stream?: number
}

const MIN_ROUNDS = 48

/**
 * Place `i` of a keyed permutation of 0..numSamples-1: a shuffle without a table, that any process can
 * evaluate at any place. See `createPermutation`.
 */
export function permuteIndex(key: PermutationKey, i: number): number {
  return createPermutation(key)(i)
}

/**
 * The swap-or-not shuffle (Hoang, Morris, Rogaway, CRYPTO 2012). Round r has a random number K_r and a random bit
 * function F_r; each x is swapped with its partner (K_r - x mod N) or not, as F_r(max(x, partner)) says. Every
 * round is its own inverse, so the whole is a bijection for every N, with neither padding to a power of
 * two nor cycle walking. 3 log2(N) rounds, at least 48, mix for statistics; a secret would need 6 log2(N).
 *
 * @throws {RangeError} for numbers outside their range; so does the returned function.
 */
export function createPermutation(key: PermutationKey): (i: number) => number {
  const { seed, epoch, numSamples, stream = 0 } = key
  for (const [name, value, least] of [
    ['seed', seed, 0],
    ['epoch', epoch, 0],
    ['stream', stream, 0],
    ['numSamples', numSamples, 1],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new RangeError(`${name}: expected an integer >= ${least}, received ${value}`)
    }
  }
  const numRounds = Math.max(MIN_ROUNDS, 3 * Math.ceil(Math.log2(numSamples)))
  const next = createStream([seed, epoch, stream])
  const keys = new Uint32Array(2 * numRounds)
  const partners = new Float64Array(numRounds)
  for (let r = 0; r < numRounds; r++) {
    keys[2 * r] = next()
    keys[2 * r + 1] = next()
    const uniform53 = (next() >>> 5) * 2 ** 26 + (next() >>> 6)
    // Exact up to 2^53; the remainder favours small numbers by less than N / 2^53.
    partners[r] = uniform53 % numSamples
  }
  return (i) => {
    if (!Number.isSafeInteger(i) || i < 0 || i >= numSamples) {
      throw new RangeError(`index: expected an integer in 0..${numSamples - 1}, received ${i}`)
    }
    let x = i
    for (let r = 0; r < numRounds; r++) {
      const difference = partners[r]! - x
      const partner = difference < 0 ? difference + numSamples : difference
      const larger = partner > x ? partner : x
      const high = larger < 2 ** 32 ? 0 : Math.floor(larger / 2 ** 32)
      const low = mix32(larger ^ keys[2 * r]! ^ Math.imul(high, 0x9e3779b9))
      // No branch: it would be mispredicted every other time.
      x += (partner - x) * (mix32(low ^ high ^ keys[2 * r + 1]!) & 1)
    }
    return x
  }
}

/** Random 32-bit numbers that depend on every bit of the seeds (integers up to 2^53). */
export function createStream(seeds: readonly number[]): () => number {
  let state = 0x243f6a88
  for (const seed of seeds) {
    state = mix32(state ^ mix32(seed + 0x9e3779b9))
    state = mix32((state + Math.floor(seed / 2 ** 32)) ^ 0x85a308d3)
  }
  let counter = 0
  return () => mix32(state ^ mix32(Math.imul(++counter, 0x9e3779b9) + 0x13198a2e)) >>> 0
}

/** A bijection of 32-bit numbers in which every input bit moves every output bit (the finaliser of MurmurHash3). */
function mix32(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
