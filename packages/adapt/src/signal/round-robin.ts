/** P samples, Q queries. */

/**
 * The order in which samples are taken when queries take turns: each in its turn names the best sample that it has not named yet; one that is
 * taken already costs the turn. The first k of it are what a budget of k gives.
 *
 * @param similarity_PQ  float32 [P, Q], sample after sample; samples that are equal for a query are named in their order.
 * @param numTurns  Of each query: it names its nearest so many. Default all.
 * @returns Every sample's place in the order, from 0; Infinity for one that no query names: [P].
 */
export function roundRobinPlaces(
  similarity_PQ: Float32Array,
  numQueries: number,
  numTurns = Number.POSITIVE_INFINITY,
): Float64Array {
  const numSamples = similarity_PQ.length / numQueries
  const most = Math.min(numTurns, numSamples)
  const named = Array.from({ length: numQueries }, (_, query) =>
    nearest(
      Float32Array.from({ length: numSamples }, (_, i) => similarity_PQ[i * numQueries + query]!),
      most,
    ),
  )
  const place_P = new Float64Array(numSamples).fill(Number.POSITIVE_INFINITY)
  let numTaken = 0
  for (let turn = 0; turn < most && numTaken < numSamples; turn++) {
    for (const samples of named) {
      const sample = samples[turn]!
      if (place_P[sample] !== Number.POSITIVE_INFINITY) continue
      place_P[sample] = numTaken++
    }
  }
  return place_P
}

/** Samples from the most similar on, `count` of them. */
function nearest(similarity_P: Float32Array, count: number): Uint32Array {
  const numSamples = similarity_P.length
  // Of a few among many only those that can be among them are put in order.
  const least = count === numSamples ? -Infinity : similarity_P.slice().sort()[numSamples - count]!
  const places = Uint32Array.from(similarity_P, (_, i) => i).filter((i) => similarity_P[i]! >= least)
  return places.sort((a, b) => similarity_P[b]! - similarity_P[a]! || a - b).subarray(0, count)
}
