/** Tokens of a batch, padding included. */
const BATCH_TOKENS = 8192

/** Places in a list of sequences, cut into batches of sequences of about one length, the longest first. */
export function likeLengths(lengths: readonly number[]): number[][] {
  const byLength = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const groups: number[][] = []
  for (const place of byLength) {
    const group = groups.at(-1)
    if (group && (group.length + 1) * lengths[group[0]!]! <= BATCH_TOKENS) group.push(place)
    else groups.push([place])
  }
  return groups
}
