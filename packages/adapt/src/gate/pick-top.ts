/** Which part of the scores is kept, and what becomes of units that tie with the last one kept. */
export interface PickOptions {
  /** `middle`: those whose ranks lie nearest to that of the median, the first in order of two that lie as near. Default highest. */
  readonly end?: 'highest' | 'lowest' | 'middle'
  /** `place`: the first ones in order are kept, so exactly the number asked for. `all`: every unit that ties is kept. Default place. */
  readonly ties?: 'place' | 'all'
}

/** Units kept of `numUnits`: the whole part of their share, at least one where there is one. */
export function countKept(keep: number, numUnits: number): number {
  return Math.min(numUnits, Math.max(1, Math.floor(keep * numUnits)))
}

/**
 * Marks the units with the best scores. One at the far end of all numbers (-infinity, +infinity where the lowest are kept, both around
 * the middle) is no candidate, and neither is NaN: of these none is picked, even if fewer than `count` remain.
 *
 * @param scores  [U].
 * @returns 1 for a unit that is kept, else 0: [U].
 */
export function pickTop(scores: ArrayLike<number>, count: number, options: PickOptions = {}): Uint8Array {
  const everyPlace = Uint32Array.from(scores, (_, place) => place)
  const values = oriented(scores, options, [everyPlace])
  return pickAmong(values, everyPlace, count, options, new Uint8Array(values.length))
}

/**
 * The same with an equal budget for each source. What a source cannot use is shared out equally among the others; what does not divide goes to
 * the first ones.
 *
 * @param source  Index of the source of each unit, [U].
 */
export function pickTopBySource(
  scores: ArrayLike<number>,
  source: ArrayLike<number>,
  count: number,
  options: PickOptions = {},
): Uint8Array {
  const all = placesBySource(source)
  const values = oriented(scores, options, all)
  const groups = all.map((group) => group.filter((i) => values[i]! > -Infinity))
  const budgets = equalBudgets(
    groups.map((group) => group.length),
    count,
  )
  const kept = new Uint8Array(values.length)
  for (const [i, group] of groups.entries()) pickAmong(values, group, budgets[i]!, options, kept)
  return kept
}

/** The same share of the units of each source, at least one where there is one. */
export function pickTopOfEach(
  scores: ArrayLike<number>,
  source: ArrayLike<number>,
  keep: number,
  options: PickOptions = {},
): Uint8Array {
  const groups = placesBySource(source)
  const values = oriented(scores, options, groups)
  const kept = new Uint8Array(values.length)
  for (const group of groups) pickAmong(values, group, countKept(keep, group.length), options, kept)
  return kept
}

function placesBySource(source: ArrayLike<number>): number[][] {
  const members: number[][] = []
  for (let i = 0; i < source.length; i++) {
    members[source[i]!] ??= []
    members[source[i]!]!.push(i)
  }
  return Array.from(members, (group) => group ?? [])
}

/**
 * Shares `total` out equally among groups that can take `sizes` each, one after another in turn.
 * @returns What each group gets; its sum is the smaller of `total` and the sum of the sizes.
 */
export function equalBudgets(sizes: readonly number[], total: number): number[] {
  const budgets = sizes.map(() => 0)
  let open = sizes.map((_, i) => i).filter((i) => sizes[i]! > 0)
  let left = total
  while (left > 0 && open.length > 0) {
    const each = Math.max(1, Math.floor(left / open.length))
    for (const i of open) {
      const given = Math.min(each, sizes[i]! - budgets[i]!, left)
      budgets[i]! += given
      left -= given
    }
    open = open.filter((i) => budgets[i]! < sizes[i]!)
  }
  return budgets
}

/** Numbers of which the highest are kept, -infinity for what is no candidate: [U]. Each group has a middle of its own. */
function oriented(
  scores: ArrayLike<number>,
  { end = 'highest' }: PickOptions,
  groups: readonly ArrayLike<number>[],
): Float64Array {
  const sign = end === 'lowest' ? -1 : 1
  const values = Float64Array.from(scores, (score) => (Number.isNaN(score) ? -Infinity : sign * score))
  if (end !== 'middle') return values
  const nearness = new Float64Array(values.length).fill(-Infinity)
  for (const group of groups) {
    const finite = Array.from(group).filter((i) => Number.isFinite(values[i]))
    finite.sort((a, b) => values[a]! - values[b]! || a - b)
    for (const [rank, i] of finite.entries()) nearness[i] = -Math.abs(2 * rank - (finite.length - 1))
  }
  return nearness
}

function pickAmong(
  values: Float64Array,
  places: ArrayLike<number>,
  count: number,
  { ties = 'place' }: PickOptions,
  kept: Uint8Array,
): Uint8Array {
  const candidates = Float64Array.from(places, (place) => values[place]!).filter((value) => value > -Infinity)
  const numKept = Math.min(count, candidates.length)
  if (numKept === 0) return kept
  const threshold = candidates.sort()[candidates.length - numKept]!
  let room = ties === 'all' ? Infinity : numKept - numAbove(candidates, threshold)
  for (let i = 0; i < places.length; i++) {
    const value = values[places[i]!]!
    if (value > threshold) kept[places[i]!] = 1
    else if (value === threshold && room-- > 0) kept[places[i]!] = 1
  }
  return kept
}

/** Of ascending values. */
function numAbove(sorted: Float64Array, threshold: number): number {
  let above = 0
  while (above < sorted.length && sorted[sorted.length - 1 - above]! > threshold) above++
  return above
}
