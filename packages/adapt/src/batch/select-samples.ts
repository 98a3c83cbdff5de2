import { type Batch, type BatchSample, IGNORED_LABEL } from './batch.js'

/**
 * A batch of its own from samples of other batches: one sample a row, padded on the right to the longest.
 * @param places  Samples counted through all batches, in the order wanted.
 * @throws {RangeError} for a place where no sample is.
 */
export function selectSamples(batches: readonly Batch[], places: readonly number[]): Batch {
  const found = places.map((place) => locate(batches, place))
  const rows = found.length
  const length = Math.max(0, ...found.map(({ sample }) => sample.numTokens))
  const tokens_BT = new Int32Array(rows * length)
  const labels_BT = new Int32Array(rows * length).fill(IGNORED_LABEL)
  const segment_BT = new Int32Array(rows * length).fill(-1)
  const position_BT = new Int32Array(rows * length)
  for (const [row, { batch, segment, sample }] of found.entries()) {
    // A sample's positions are neighbours; any token id does for padding, since attention leaves it out.
    const start = batch.segment_BT.indexOf(segment)
    const end = start + sample.numTokens
    tokens_BT.set(batch.tokens_BT.subarray(start, end), row * length)
    labels_BT.set(batch.labels_BT.subarray(start, end), row * length)
    position_BT.set(batch.position_BT.subarray(start, end), row * length)
    segment_BT.fill(row, row * length, row * length + sample.numTokens)
  }
  const samples = found.map(({ sample }) => sample)
  return { rows, length, tokens_BT, labels_BT, segment_BT, position_BT, samples }
}

function locate(
  batches: readonly Batch[],
  place: number,
): { readonly batch: Batch; readonly segment: number; readonly sample: BatchSample } {
  let segment = place
  for (const batch of batches) {
    const sample = batch.samples[segment]
    if (sample !== undefined) return { batch, segment, sample }
    segment -= batch.samples.length
  }
  throw new RangeError(`sample ${place}: there is none in ${batches.length} batches`)
}
