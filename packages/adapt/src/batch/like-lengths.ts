/** Places in a list of samples, cut into groups of about one length: longest first, ties in the order of the list. */
export function groupLikeLengths(
  lengths: ArrayLike<number>,
  { maxTokens }: { readonly maxTokens: number },
): number[][] {
  const byLength = Array.from(lengths, (_, place) => place).sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const groups: number[][] = []
  for (const place of byLength) {
    const group = groups.at(-1)
    if (group !== undefined && (group.length + 1) * lengths[group[0]!]! <= maxTokens) group.push(place)
    else groups.push([place])
  }
  return groups
}
