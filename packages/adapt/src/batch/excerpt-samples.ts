import { type Batch, type BatchSample, IGNORED_LABEL } from './batch.js'

/** Chooses one of the starts at which an excerpt may begin. */
export type ChooseStart = (sample: BatchSample, starts: readonly number[]) => number

/** Excerpts begin at multiples of this many tokens. */
const GRID = 128

/**
 * The same samples, of which none is longer than `length` tokens: of a longer one a window of neighbouring tokens, which knows nothing of what comes
 * before it. It begins at a multiple of 128 tokens and holds a label where the sample has any. One sample a row, padded on the right, unless all of
 * them are whole: then the batch as it is.
 */
export function excerptSamples(batch: Batch, length: number, chooseStart: ChooseStart): Batch {
  if (batch.samples.every(({ numTokens }) => numTokens <= length)) return batch
  const windows = batch.samples.map((sample, segment) => {
    const first = batch.segment_BT.indexOf(segment)
    const size = Math.min(sample.numTokens, length)
    const labels = batch.labels_BT.subarray(first, first + sample.numTokens)
    return { sample, first: first + startOf(sample, labels, length, chooseStart), size }
  })
  const rows = windows.length
  const width = Math.max(...windows.map(({ size }) => size))
  const tokens_BT = new Int32Array(rows * width)
  const labels_BT = new Int32Array(rows * width).fill(IGNORED_LABEL)
  const segment_BT = new Int32Array(rows * width).fill(-1)
  const position_BT = new Int32Array(rows * width)
  const samples = windows.map(({ sample, first, size }, row): BatchSample => {
    const labels = batch.labels_BT.subarray(first, first + size)
    tokens_BT.set(batch.tokens_BT.subarray(first, first + size), row * width)
    labels_BT.set(labels, row * width)
    segment_BT.fill(row, row * width, row * width + size)
    for (let t = 0; t < size; t++) position_BT[row * width + t] = t
    return { ...sample, numTokens: size, numLabels: labels.filter((label) => label !== IGNORED_LABEL).length }
  })
  return { rows, length: width, tokens_BT, labels_BT, segment_BT, position_BT, samples }
}

function startOf(sample: BatchSample, labels: Int32Array, length: number, chooseStart: ChooseStart): number {
  const last = sample.numTokens - length
  if (last <= 0) return 0
  const hasLabel = (start: number) =>
    sample.numLabels === 0 || labels.subarray(start, start + length).some((label) => label !== IGNORED_LABEL)
  const starts = Array.from({ length: Math.floor(last / GRID) + 1 }, (_, i) => i * GRID).filter(hasLabel)
  if (starts.length > 0) return chooseStart(sample, starts)
  return Math.min(
    last,
    labels.findIndex((label) => label !== IGNORED_LABEL),
  )
}
