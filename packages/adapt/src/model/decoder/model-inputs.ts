/** B rows, T positions, N positions that are computed: those that are no padding, and a few more. */
import { type Device, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../../batch/index.js'
import { hasSequenceAttention } from './attend-sequences.js'

/** What a forward needs of a batch, on the device. The caller's scope owns the tensors. */
export interface ModelInputs {
  readonly batch: Batch
  /** int64 [B, T]; where `dense` is there [1, N]. */
  readonly tokens_BT: Tensor
  /** int64 [B, T] or [1, N], or undefined when every row counts 0 .. T-1. */
  readonly position_BT: Tensor | undefined
  /** Undefined when rows stay as they are. */
  readonly dense: DenseLayout | undefined
  /** Rows stay as they are and hold several samples: attention needs a mask. */
  readonly isPacked: boolean
}

/** The samples of a batch one after another without padding: next to no position is computed that nobody looks at. */
export interface DenseLayout {
  /** Lengths of the samples in the N positions, row by row, and of the filling after them. */
  readonly lengths: readonly number[]
  /** int64 [N]: where each position stands among the B * T. The filling repeats the first ones. */
  readonly place_N: Tensor
  /** Positions of the filling, the last of the N. */
  readonly filling: number
}

/** A sample within its row. */
export interface Stretch {
  readonly row: number
  readonly start: number
  readonly length: number
  /** Index into the batch's samples. */
  readonly segment: number
}

/** Samples in the order of the rows. */
export function stretchesOf({ rows, length, segment_BT }: Batch): Stretch[] {
  const stretches: Stretch[] = []
  for (let row = 0; row < rows; row++) {
    for (let start = 0, end = 0; start < length; start = end) {
      const segment = segment_BT[row * length + start]!
      while (end < length && segment_BT[row * length + end] === segment) end++
      if (segment !== -1) stretches.push({ row, start, length: end - start, segment })
    }
  }
  return stretches
}

function isPlain({ rows, length, position_BT }: Batch, stretches: readonly Stretch[]): boolean {
  if (stretches.length === 0) return true
  if (stretches.length !== rows || stretches.some((stretch) => stretch.length !== length)) return false
  return position_BT.every((position, i) => position === i % length)
}

/**
 * Packed rows whose padding is not worth leaving out: one masked product for all rows is faster than one for each group
 * of samples.
 */
function isFullyPacked({ rows, length }: Batch, stretches: readonly Stretch[]): boolean {
  return (
    stretches.length > rows && numPositionsOf(stretches) > 0.8 * rows * length && length <= MAX_MASKED_LENGTH
  )
}

function numPositionsOf(stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, { length }) => sum + length, 0)
}

/** Longest rows that are masked: a mask grows with the square of it. */
const MAX_MASKED_LENGTH = 512

/**
 * Positions that are computed for nothing after N others on the CPU, so that there are 64 numbers of them for each doubling: oneDNN
 * prepares every product of a new shape, which took a tenth of a step of 1M parameters. Half a percent of the positions in the mean.
 */
function fillingFor(N: number, { rows, length }: Batch, device: Device): number {
  if (device !== 'cpu') return 0
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(N / 128)))
  return Math.min(Math.ceil(N / step) * step, rows * length) - N
}

/**
 * Copies a batch to the device.
 * @param options.fill  Whether shapes may be rounded up by a few positions more. Default true.
 */
export function toModelInputs(batch: Batch, device: Device, { fill = true } = {}): ModelInputs {
  const { rows, length, tokens_BT, position_BT } = batch
  const ids = (array: Int32Array, shape: number[]) => tensor(array, shape, { dtype: 'int64', device })
  const stretches = stretchesOf(batch)
  if (isPlain(batch, stretches)) {
    const tokens = ids(tokens_BT, [rows, length])
    return { batch, tokens_BT: tokens, position_BT: undefined, dense: undefined, isPacked: false }
  }
  if (!hasSequenceAttention(device) && isFullyPacked(batch, stretches)) {
    return {
      batch,
      tokens_BT: ids(tokens_BT, [rows, length]),
      position_BT: ids(position_BT, [rows, length]),
      dense: undefined,
      isPacked: true,
    }
  }
  const filling = fill ? fillingFor(numPositionsOf(stretches), batch, device) : 0
  const places = placesOf(stretches, length, filling)
  const N = places.length
  const lengths = stretches.map((stretch) => stretch.length)
  return {
    batch,
    tokens_BT: ids(pick(tokens_BT, places), [1, N]),
    position_BT: ids(pick(position_BT, places), [1, N]),
    dense: { lengths: filling > 0 ? [...lengths, filling] : lengths, place_N: ids(places, [N]), filling },
    isPacked: false,
  }
}

/** Where the positions of the stretches stand among the B * T, the first ones once more. Plain loops: this runs for every position of every step. */
export function placesOf(stretches: readonly Stretch[], rowLength: number, filling = 0): Int32Array {
  const count = numPositionsOf(stretches)
  const places = new Int32Array(count + filling)
  let n = 0
  for (const { row, start, length } of stretches) {
    const first = row * rowLength + start
    for (let t = 0; t < length; t++) places[n++] = first + t
  }
  return places.copyWithin(count, 0, filling)
}

function pick(values: Int32Array, places: Int32Array): Int32Array {
  const picked = new Int32Array(places.length)
  for (let n = 0; n < places.length; n++) picked[n] = values[places[n]!]!
  return picked
}
