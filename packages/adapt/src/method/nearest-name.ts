/**
 * The candidate a reader most likely meant, or undefined when none is close.
 *
 * Spelling is compared first (edit distance, a swap of neighbours counts once, letter case and separators
 * ignored); then a candidate that contains the name as whole words wins, so that `batch_size` finds
 * `per_device_train_batch_size`.
 */
export function nearestName(name: string, candidates: readonly string[]): string | undefined {
  const wanted = squash(name)
  if (wanted === '') return undefined
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(wanted, squash(candidate), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best ?? candidates.find((candidate) => containsWords(candidate, name))
}

/** ` (did you mean "x"?)`, or the empty string when nothing is close. */
export function suggestName(name: string, candidates: readonly string[]): string {
  const found = nearestName(name, candidates)
  return found === undefined ? '' : ` (did you mean "${found}"?)`
}

function squash(name: string): string {
  return name.toLowerCase().replace(/[-_. ]/g, '')
}

function containsWords(candidate: string, name: string): boolean {
  return name.length >= 4 && `_${candidate}_`.includes(`_${name.toLowerCase()}_`)
}

/**
 * Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
 * Strings whose lengths differ by `limit` or more are not measured; `limit` is returned for them.
 */
export function editDistance(a: string, b: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let value = Math.min(current[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, beforePrevious[j - 2]! + 1)
      }
      current.push(value)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length]!
}
