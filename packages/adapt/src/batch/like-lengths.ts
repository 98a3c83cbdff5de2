/** Tokens of a batch by default. */
const BATCH_TOKENS = 8192

/**
 * Places in a list of sequences, cut into batches of sequences of about one length, the longest first.
 * @param maxTokens  Of a batch, padding included; a longer sequence is alone.
 */
export function likeLengths(lengths: readonly number[], maxTokens = BATCH_TOKENS): number[][] {
  const byLength = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const groups: number[][] = []
  for (const place of byLength) {
    const group = groups.at(-1)
    if (group && (group.length + 1) * lengths[group[0]!]! <= maxTokens) group.push(place)
    else groups.push([place])
  }
  return groups
}
