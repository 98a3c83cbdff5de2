import type { TokenDataset } from '../tokenize/index.js'
import type { Batch } from './batch.js'
import { buildBatch } from './build-batch.js'
import { likeLengths } from './like-lengths.js'
import { packSamples, type Row, requireFitting } from './pack-samples.js'
import { splitGlobalBatch } from './split-global-batch.js'

/** How the rows of a step become this rank's micro-batches. */
export interface Layout {
  readonly dataset: Pick<TokenDataset, 'sample' | 'length'>
  readonly padId: number
  readonly packing: boolean
  /** Tokens of a packed row. */
  readonly maxLength: number
  /** Rows of one micro-batch. */
  readonly perDevice: number
  readonly worldSize: number
  readonly rank: number
}

/**
 * This rank's micro-batches of the rows of a step over all ranks: as many as the rows take, none of them empty.
 * @throws {RangeError} for a row with more tokens than fit.
 */
export function layOutRows(rows: readonly Row[], layout: Layout): readonly Batch[] {
  const { dataset, padId, packing, maxLength, perDevice, worldSize, rank } = layout
  const accumulation = Math.max(1, Math.ceil(rows.length / (perDevice * worldSize)))
  return splitGlobalBatch(rows, { perDevice, accumulation, worldSize, rank })
    .filter((own) => own.length > 0)
    .map((own) => buildBatch(own, dataset, { padId, packing, ...(packing ? { maxLength } : {}) }))
}

/**
 * This rank's micro-batches of some samples of a step, cut and filled as every global batch is: several samples a row with packing, else one.
 * @param samples  Dense indexes, the same and in the same order on every rank.
 * @throws {DataError} SAMPLE_TOO_LONG
 */
export function layOutSamples(samples: readonly number[], layout: Layout): readonly Batch[] {
  const { dataset, packing, maxLength } = layout
  const rows = packing
    ? packSamples(requireFitting(samples, dataset, maxLength), maxLength).map((row) =>
        row.map((i) => samples[i]!),
      )
    : samples.map((sample) => [sample])
  return layOutRows(rows, layout)
}

/**
 * This rank's part of some samples in batches to look at, one sample a row, those of like length together. How they are cut depends on the
 * samples alone; ranks take batches in turns.
 * @param samples  Dense indexes, the same on every rank.
 */
export function* layOutPool(
  samples: ArrayLike<number>,
  { dataset, padId, worldSize, rank }: Pick<Layout, 'dataset' | 'padId' | 'worldSize' | 'rank'>,
): Generator<Batch> {
  const groups = likeLengths(Array.from(samples, (sample) => dataset.length(sample)))
  for (const [i, places] of groups.entries()) {
    if (i % worldSize !== rank) continue
    const rows = places.map((place) => [samples[place]!])
    yield buildBatch(rows, dataset, { padId, packing: false })
  }
}
