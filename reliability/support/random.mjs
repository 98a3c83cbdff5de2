import { createHash } from 'node:crypto'

/** Numbers in [0, 1) from a seed, the same on every machine. */
export function createRandom(seed) {
  let counter = 0
  return () => createHash('sha256').update(`${seed}:${counter++}`).digest().readUInt32LE() / 2 ** 32
}

/** Every n-th of a list, its first and last included, about `count` of them. */
export function spread(items, count) {
  if (items.length <= count) return [...items]
  const picked = Array.from({ length: count }, (_, i) => Math.round((i * (items.length - 1)) / (count - 1)))
  return [...new Set(picked)].map((i) => items[i])
}

/** Value below which a share of the list lies (nearest rank). */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]
}
