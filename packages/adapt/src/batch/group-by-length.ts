/**
 * Places of sequences, those of about one length together: each group, padded to its longest, has at most so many tokens, or is one sequence.
 * @param maxTokens  Of a group, padding included.
 */
export function groupByLength(lengths: readonly number[], maxTokens: number): number[][] {
  const byLength = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const groups: number[][] = []
  for (const place of byLength) {
    const group = groups.at(-1)
    if (group && (group.length + 1) * lengths[group[0]!]! <= maxTokens) group.push(place)
    else groups.push([place])
  }
  return groups
}
