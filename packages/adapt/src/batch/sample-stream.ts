/** P samples. */
import { DataError } from '../errors.js'
import { type Row, requireFitting } from './pack-samples.js'
import { createStream } from './permute-index.js'
import type { MixedDataset } from './plan-mixing.js'
import type { SampleCursor } from './row-cursor.js'
import { packPrefix } from './source-stream.js'

/** What is read next, sample by sample. */
export interface SampleDraw {
  /** Another number is another draw: it begins at its first sample. */
  readonly number: number
  /** >= 0, [P] by dense index; the proportions of the probabilities. The same for the same number. */
  readonly weight_P: Float32Array
  /** Whether a sample may come again before all others with a weight have come. */
  readonly replacement: boolean
}

/** Data and packing of a draw of samples, and where to begin in it. */
export interface SampleStreamOptions {
  readonly dataset: MixedDataset
  readonly seed: number
  /** Tokens of a packed row; no sample is longer. */
  readonly maxLength: number
  readonly packing: boolean
  readonly cursor: SampleCursor
}

/** Rows of samples that are drawn by their weights. */
export interface SampleStream {
  readonly cursor: SampleCursor
  /**
   * The rows of the next step.
   * @throws {DataError} EMPTY_DRAW when no sample has a weight. @throws {RangeError} for weights that are none.
   */
  next(numRows: number, draw: SampleDraw): readonly Row[]
}

/** Apart from the streams of permutations and of the draw of sources. */
const NOISE_STREAM = 2 ** 34
/** 2^32 over the golden ratio: multiples of it, modulo 2^32, fill the range evenly from every place on. */
const GOLDEN = 0x9e3779b9

/**
 * Draws samples by their weights. A function of (seed, dataset, cursor, draw): every rank computes the same.
 *
 * Without replacement a draw is the pool in the order of e_i / w_i, e_i exponential and keyed by (seed, draw, pass, i): the same in distribution
 * as taking one sample after another with probabilities in proportion to the weights of those left, and as Gumbel top-k. Samples of weight 0
 * never come; where more are read than have a weight, a new pass with fresh e_i begins.
 *
 * With replacement the m-th sample is the one in whose part of [0, 1) the number (u_0 + m (sqrt 5 - 1) / 2) mod 1 falls, the parts being as
 * long as the probabilities: of m samples in a row each has its share within a few.
 *
 * With packing a step takes as many samples of that sequence as its rows hold, packed among themselves.
 */
export function createSampleStream(options: SampleStreamOptions): SampleStream {
  const { dataset, seed, maxLength, packing } = options
  let { cursor } = options
  let current: { readonly draw: SampleDraw; readonly at: (place: number) => number } | undefined
  const orderOf = (draw: SampleDraw): ((place: number) => number) => {
    if (current?.draw.number !== draw.number || current.draw.weight_P !== draw.weight_P) {
      requireWeights(draw, dataset.numSamples)
      current = { draw, at: draw.replacement ? repeatedOrder(draw, seed) : weightedOrder(draw, seed) }
    }
    return current.at
  }
  return {
    get cursor() {
      return cursor
    },
    next(numRows, draw) {
      const at = orderOf(draw)
      if (draw.number !== cursor.draw) {
        const { before, taken } = cursor
        cursor = { kind: 'samples', draw: draw.number, taken: 0, before: before + taken }
      }
      const samples: number[] = []
      const lengths: number[] = []
      let room = packing ? numRows * maxLength : numRows
      for (let place = cursor.taken; ; place++) {
        const sample = at(place)
        const [length] = requireFitting([sample], dataset, maxLength) as [number]
        room -= packing ? length : 1
        if (room < 0) break
        samples.push(sample)
        lengths.push(length)
      }
      const rows = packing ? packPrefix(samples, lengths, { numRows, maxLength }) : samples.map((s) => [s])
      cursor = { ...cursor, taken: cursor.taken + rows.reduce((n, row) => n + row.length, 0) }
      return rows
    },
  }
}

function requireWeights({ weight_P }: SampleDraw, numSamples: number): void {
  const wrong = weight_P.findIndex((weight) => !(weight >= 0 && weight < Infinity))
  if (weight_P.length !== numSamples || wrong >= 0) {
    const received = wrong >= 0 ? `${weight_P[wrong]} for sample ${wrong}` : `${weight_P.length} of them`
    throw new RangeError(`draw: expected ${numSamples} weights >= 0, received ${received}`)
  }
  if (!weight_P.some((weight) => weight > 0)) {
    throw new DataError('EMPTY_DRAW', 'method: no sample of the training data has a weight in the draw')
  }
}

/** Sample at each place, pass after pass. */
function weightedOrder({ number, weight_P }: SampleDraw, seed: number): (place: number) => number {
  const samples = Uint32Array.from([...weight_P.keys()].filter((i) => weight_P[i]! > 0))
  const key_P = new Float64Array(weight_P.length)
  let sortedPass = -1
  return (place) => {
    const pass = Math.floor(place / samples.length)
    if (pass !== sortedPass) {
      const uniform = uniformStream([seed, number, pass, NOISE_STREAM])
      // A number for every sample: the key of one does not depend on the weights of others.
      for (const i of key_P.keys()) key_P[i] = -Math.log(uniform()) / weight_P[i]!
      samples.sort((a, b) => key_P[a]! - key_P[b]! || a - b)
      sortedPass = pass
    }
    return samples[place % samples.length]!
  }
}

function repeatedOrder({ number, weight_P }: SampleDraw, seed: number): (place: number) => number {
  const samples = Uint32Array.from([...weight_P.keys()].filter((i) => weight_P[i]! > 0))
  const ends = new Float64Array(samples.length)
  let end = 0
  for (const [i, sample] of samples.entries()) {
    end += weight_P[sample]!
    ends[i] = end
  }
  const start = createStream([seed, number, NOISE_STREAM])()
  return (place) => {
    const u = (((start + Math.imul(place, GOLDEN)) >>> 0) / 2 ** 32) * end
    let low = 0
    let high = samples.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (u < ends[middle]!) high = middle
      else low = middle + 1
    }
    return samples[low]!
  }
}

/** Uniform in (0, 1), 53 bits. */
function uniformStream(seeds: readonly number[]): () => number {
  const next = createStream(seeds)
  return () => (next() * 2 ** 21 + (next() >>> 11) + 0.5) / 2 ** 53
}
