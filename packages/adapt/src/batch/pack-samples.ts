import { DataError } from '../errors.js'
import type { MixedDataset } from './plan-mixing.js'

/** Sample indices of one row, in the order they stand in it. */
export type Row = readonly number[]

/**
 * Puts samples into rows of `capacity` tokens: longest first, each into the fullest row it fits in (best-fit
 * decreasing). Ties go to the earlier sample and the earlier row, so equal input gives equal rows.
 *
 * @param lengths  Tokens of each sample, each <= capacity.
 * @returns Rows of positions in `lengths`, positions ascending within a row.
 */
export function packSamples(lengths: ArrayLike<number>, capacity: number): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const shortest = order.length === 0 ? 0 : lengths[order.at(-1)!]!
  const rows: number[][] = []
  // Rows that can still take a sample, in the order they were opened.
  let open: { readonly row: number[]; room: number }[] = []
  for (const i of order) {
    const length = lengths[i]!
    let best: (typeof open)[number] | undefined
    for (const candidate of open) {
      if (candidate.room >= length && (best === undefined || candidate.room < best.room)) {
        best = candidate
      }
    }
    if (best === undefined) {
      best = { row: [], room: capacity }
      rows.push(best.row)
      open.push(best)
    }
    best.row.push(i)
    best.room -= length
    if (best.room < shortest) {
      open = open.filter((o) => o !== best)
    }
  }
  for (const row of rows) {
    row.sort((a, b) => a - b)
  }
  return rows
}

/**
 * The lengths of samples that must each fit in a row.
 * @throws {DataError} SAMPLE_TOO_LONG for one of more than `maxLength` tokens.
 */
export function requireFitting(
  samples: readonly number[],
  dataset: Pick<MixedDataset, 'length'>,
  maxLength: number,
): number[] {
  const lengths = samples.map((s) => dataset.length(s))
  const tooLong = lengths.findIndex((n) => n > maxLength)
  if (tooLong >= 0) {
    throw new DataError(
      'SAMPLE_TOO_LONG',
      `sample ${samples[tooLong]}: expected at most max_length = ${maxLength} tokens, received ${lengths[tooLong]}; ` +
        'tokenise the data with the same max_length',
    )
  }
  return lengths
}
