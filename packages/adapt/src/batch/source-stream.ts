/** G sources. */
import { DataError } from '../errors.js'
import { packSamples, type Row, requireFitting } from './pack-samples.js'
import { createStream } from './permute-index.js'
import type { MixedDataset } from './plan-mixing.js'
import { cursorError } from './row-cursor.js'
import { createSourceReader, samplesBySource } from './sample-order.js'

/** Data and packing of a steered draw, and where to begin in it. */
export interface SourceStreamOptions {
  readonly dataset: MixedDataset
  readonly seed: number
  /** Tokens of a packed row; no sample is longer. */
  readonly maxLength: number
  readonly packing: boolean
  /** Samples that were drawn of each source so far, [G]. Default none. */
  readonly drawn?: readonly number[]
}

/** A draw whose shares of sources may be others in every step. */
export interface SourceStream {
  /** Samples that were drawn of each source so far, over all passes, [G]: with the seed the whole state. */
  readonly drawn: readonly number[]
  /**
   * The rows of the next step.
   * @param shares  Share of each source in the tokens that are read, [G], >= 0, with sum 1. A source without samples gets none, and the others
   *   keep their proportions.
   * @throws {DataError} EMPTY_SHARES when every source with a share is empty. @throws {RangeError} for shares that are none.
   */
  next(numRows: number, shares: ArrayLike<number>): readonly Row[]
}

/** 2^32 over the golden ratio: multiples of it, modulo 2^32, fill the range evenly from every place on. */
const GOLDEN = 0x9e3779b9
/** Apart from the streams of permutations. */
const DRAW_STREAM = 2 ** 33

/**
 * Draws samples by source. The m-th sample (from 0, over the whole run) is of the source in whose part of [0, 1) the number
 * u_m = (u_0 + m (sqrt 5 - 1) / 2) mod 1 falls, the parts being as long as the sources' shares of the samples and u_0 keyed by the seed. Any number of samples
 * in a row has of every source its share within a few samples, also when the shares change in between; and what a step leaves over is drawn
 * again as it was. Within a source, samples come in passes, each a keyed permutation, as in a mixed order: once per pass.
 *
 * With packing a step takes as many samples of that sequence as its rows hold, packed among themselves. All of it is a function of
 * (seed, dataset, drawn, shares): every rank computes the same.
 *
 * @throws {DataError} CURSOR_OUT_OF_RANGE when `drawn` is none of this data.
 */
export function createSourceStream(options: SourceStreamOptions): SourceStream {
  const { dataset, seed, maxLength, packing } = options
  const numSources = dataset.sources.length
  const { samplesOf, meanLength } = countSources(dataset)
  const readSample = createSourceReader(samplesOf, seed)
  const start = createStream([seed, 0, DRAW_STREAM])()
  let drawn: readonly number[] = options.drawn ?? new Array<number>(numSources).fill(0)
  if (drawn.length !== numSources || drawn.some((n, g) => n > 0 && samplesOf[g]!.length === 0)) {
    throw cursorError({ kind: 'sources', drawn }, `the data has ${numSources} sources, not the same ones`)
  }

  /** The samples from here on, with the source of each. */
  function* sequence(shares: ArrayLike<number>) {
    const pick = sourcePicker(
      shares,
      samplesOf.map(({ length }, g) => (length > 0 ? meanLength[g]! : 0)),
      dataset.sources,
    )
    const ranks = [...drawn]
    let place = sum(ranks)
    for (;;) {
      const source = pick(((start + Math.imul(place, GOLDEN)) >>> 0) / 2 ** 32)
      yield { source, sample: readSample({ source, rank: ranks[source]! }) }
      ranks[source]! += 1
      place += 1
    }
  }

  return {
    get drawn() {
      return drawn
    },
    next(numRows, shares) {
      const taken: { readonly source: number; readonly sample: number }[] = []
      const lengths: number[] = []
      let room = packing ? numRows * maxLength : numRows
      for (const draw of sequence(shares)) {
        const [length] = requireFitting([draw.sample], dataset, maxLength) as [number]
        room -= packing ? length : 1
        if (room < 0) break
        taken.push(draw)
        lengths.push(length)
      }
      const samples = taken.map(({ sample }) => sample)
      const rows = packing ? packPrefix(samples, lengths, { numRows, maxLength }) : samples.map((s) => [s])
      const numTaken = rows.reduce((n, row) => n + row.length, 0)
      const next = [...drawn]
      for (const { source } of taken.slice(0, numTaken)) next[source]! += 1
      drawn = next
      return rows
    },
  }
}

function countSources(dataset: MixedDataset) {
  const samplesOf = samplesBySource(dataset)
  const meanLength = samplesOf.map((samples) => {
    let numTokens = 0
    for (const s of samples) numTokens += dataset.length(s)
    return numTokens / samples.length
  })
  return { samplesOf, meanLength }
}

/**
 * The source of a number in [0, 1). Shares are of tokens, as those of `data.mixing`: the longer a source's samples are, the fewer of them it takes.
 * @param meanLength  Tokens of a sample of each source; 0 for a source without samples.
 */
function sourcePicker(
  shares: ArrayLike<number>,
  meanLength: readonly number[],
  sources: readonly string[],
): (u: number) => number {
  const given = Array.from(shares)
  if (given.length !== meanLength.length || !given.every((p) => p >= 0) || Math.abs(sum(given) - 1) > 1e-6) {
    throw new RangeError(
      `shares: expected ${meanLength.length} numbers >= 0 with sum 1, received [${given.join(', ')}]`,
    )
  }
  const rates = given.map((share, g) => (meanLength[g]! > 0 ? share / meanLength[g]! : 0))
  const active = rates.flatMap((rate, g) => (rate > 0 ? [g] : []))
  if (active.length === 0) {
    const named = given.flatMap((share, g) => (share > 0 ? [JSON.stringify(sources[g])] : []))
    throw new DataError(
      'EMPTY_SHARES',
      `shares: no sample is left of any source with a share (${named.join(', ')})`,
    )
  }
  const total = sum(rates)
  const ends: number[] = []
  let end = 0
  for (const g of active) {
    end += rates[g]! / total
    ends.push(end)
  }
  // Rounding may leave the last end below 1.
  ends[ends.length - 1] = 1
  return (u) => active[ends.findIndex((limit) => u < limit)]!
}

/** Packs as many of the first samples as `numRows` rows hold; at least one. */
export function packPrefix(
  samples: readonly number[],
  lengths: readonly number[],
  { numRows, maxLength }: { readonly numRows: number; readonly maxLength: number },
): Row[] {
  const pack = (count: number) => packSamples(lengths.slice(0, count), maxLength)
  let best = pack(lengths.length)
  if (best.length > numRows) {
    // As many samples as rows always fit.
    let fits = Math.min(numRows, lengths.length)
    let tooMany = lengths.length
    best = pack(fits)
    while (tooMany - fits > 1) {
      const middle = (fits + tooMany) >> 1
      const packed = pack(middle)
      if (packed.length <= numRows) {
        fits = middle
        best = packed
      } else tooMany = middle
    }
  }
  return best.map((row) => row.map((place) => samples[place]!))
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
