/** P samples, K targets. */

/**
 * The order in which samples are taken when targets choose by quota: the target that is furthest behind its share takes the best sample that is
 * left. The first n of it hold every target's share of n, to less than one sample, until its samples are used up.
 *
 * @param score_PK  [P, K], sample after sample; samples that are equal for a target are taken in their order, those with -infinity last.
 * @param share_K  Shares of what is taken, >= 0, in any unit.
 * @returns Every sample's place in the order, from 0: [P].
 */
export function quotaPlaces(score_PK: ArrayLike<number>, share_K: ArrayLike<number>): Uint32Array {
  const K = share_K.length
  const numSamples = score_PK.length / K
  const queues = Array.from({ length: K }, (_, k) =>
    Uint32Array.from({ length: numSamples }, (_, i) => i).sort(
      (a, b) => score_PK[b * K + k]! - score_PK[a * K + k]! || a - b,
    ),
  )
  const total = Array.from(share_K).reduce((a, b) => a + b, 0)
  const wanted_K = Array.from(share_K, (share) => share / total)
  const taken_K = new Float64Array(K)
  const front_K = new Uint32Array(K)
  const place_P = new Uint32Array(numSamples)
  const isTaken = new Uint8Array(numSamples)
  for (let numTaken = 0; numTaken < numSamples; numTaken++) {
    let chosen = 0
    for (let k = 1; k < K; k++) {
      const behind = (of: number) => wanted_K[of]! * (numTaken + 1) - taken_K[of]!
      if (behind(k) > behind(chosen)) chosen = k
    }
    const queue = queues[chosen]!
    while (isTaken[queue[front_K[chosen]!]!] === 1) front_K[chosen]!++
    const sample = queue[front_K[chosen]!]!
    isTaken[sample] = 1
    place_P[sample] = numTaken
    taken_K[chosen]!++
  }
  return place_P
}
