/** Numbers in [0, 1) from a 32-bit seed, the same on every machine. */
export function createRandom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
  }
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
