// Order and randomness that depend on names only, so the same inputs give the same bytes on every machine.

import { createHash } from 'node:crypto'

/** SHA-256 of bytes or UTF-8 text, as lower-case hex. */
export function sha256(data) {
  return createHash('sha256').update(data).digest('hex')
}

/** Sorts a copy of `items` by the hash of their keys: a shuffle that does not depend on the other items. */
export function hashOrder(items, keyOf) {
  return items
    .map((item) => ({ item, key: sha256(keyOf(item)) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item)
}

/** A generator of numbers in [0, 1) seeded by a string (mulberry32 on the first 32 bits of its hash). */
export function createRandom(seed) {
  let state = Number.parseInt(sha256(seed).slice(0, 8), 16) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Fisher-Yates shuffle of a copy. */
export function shuffled(items, random) {
  const copy = [...items]
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    ;[copy[i], copy[j]] = [copy[j], copy[i]]
  }
  return copy
}
