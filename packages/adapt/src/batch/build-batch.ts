import type { TokenDataset, TokenizedSample } from '../tokenize/index.js'
import { type Batch, type BatchSample, IGNORED_LABEL } from './batch.js'
import type { Row } from './pack-samples.js'

/** How rows become a rectangle of tokens. */
export interface BuildBatchOptions {
  /** Tokens of a row when packing; without packing the most a row may have. Required for packing. */
  readonly maxLength?: number
  /** Without packing: pad every row to this length instead of the longest row's. */
  readonly padTo?: number
  readonly padId: number
  /** T is `maxLength`, else the length of the longest row. */
  readonly packing: boolean
  /** Where the padding stands. Default right. */
  readonly paddingSide?: 'left' | 'right'
}

/**
 * Lays samples out in rows. Samples of one row stand next to each other without separation: `segment_BT` and
 * `position_BT` are what keeps them apart, and no label reaches from one to the next.
 *
 * @param rows  Sample indices per row. No rows give an empty batch.
 * @throws {RangeError} when a row has more tokens than fit.
 */
export function buildBatch(
  rows: readonly Row[],
  dataset: Pick<TokenDataset, 'sample'>,
  options: BuildBatchOptions,
): Batch {
  const content = rows.map((row) => row.map((index) => dataset.sample(index)))
  const widths = content.map((samples) => samples.reduce((sum, s) => sum + s.tokens.length, 0))
  const length = lengthOf(widths, options)
  const size = rows.length * length
  const tokens_BT = new Int32Array(size).fill(options.padId)
  const labels_BT = new Int32Array(size).fill(IGNORED_LABEL)
  const segment_BT = new Int32Array(size).fill(-1)
  const position_BT = new Int32Array(size)
  const samples: BatchSample[] = []
  for (const [b, inRow] of content.entries()) {
    let at = b * length + (options.paddingSide === 'left' ? length - widths[b]! : 0)
    for (const sample of inRow) {
      const { tokens, labelMask } = sample
      tokens_BT.set(tokens, at)
      segment_BT.fill(samples.length, at, at + tokens.length)
      let numLabels = 0
      for (let t = 0; t < tokens.length; t++) {
        position_BT[at + t] = t
        // The mask marks the token that is predicted; the label stands where the prediction is made.
        if (labelMask[t + 1] === 1) {
          labels_BT[at + t] = tokens[t + 1]!
          numLabels += 1
        }
      }
      samples.push(describe(sample, numLabels))
      at += tokens.length
    }
  }
  return { rows: rows.length, length, tokens_BT, labels_BT, segment_BT, position_BT, samples }
}

function lengthOf(widths: readonly number[], { maxLength, padTo, packing }: BuildBatchOptions): number {
  if (packing && maxLength === undefined) {
    throw new RangeError('buildBatch: packing needs maxLength')
  }
  const longest = Math.max(0, ...widths)
  const length = packing ? maxLength! : (padTo ?? longest)
  const limit = Math.min(length, maxLength ?? length)
  if (longest > limit) {
    throw new RangeError(`buildBatch: expected rows of at most ${limit} tokens, received one of ${longest}`)
  }
  return length
}

function describe({ index, id, source, weight, tokens }: TokenizedSample, numLabels: number): BatchSample {
  return { index, id, source, weight, numTokens: tokens.length, numLabels }
}
