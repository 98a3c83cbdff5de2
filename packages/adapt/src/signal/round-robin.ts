/** P samples, Q queries. */

/**
 * The order in which samples are taken when queries take turns: each in its turn names the best sample that it has not named yet; one that is
 * taken already costs the turn. The first k of it are what a budget of k gives.
 *
 * @param similarity_PQ  float32 [P, Q], sample after sample; samples that are equal for a query are named in their order.
 * @returns Every sample's place in the order, from 0: [P].
 */
export function roundRobinPlaces(similarity_PQ: Float32Array, numQueries: number): Uint32Array {
  const numSamples = similarity_PQ.length / numQueries
  const named = Array.from({ length: numQueries }, (_, query) =>
    Uint32Array.from({ length: numSamples }, (_, i) => i).sort(
      (a, b) => similarity_PQ[b * numQueries + query]! - similarity_PQ[a * numQueries + query]! || a - b,
    ),
  )
  const place_P = new Uint32Array(numSamples)
  const isTaken = new Uint8Array(numSamples)
  let numTaken = 0
  for (let turn = 0; numTaken < numSamples; turn++) {
    for (const samples of named) {
      const sample = samples[turn]!
      if (isTaken[sample] === 1) continue
      isTaken[sample] = 1
      place_P[sample] = numTaken++
    }
  }
  return place_P
}
