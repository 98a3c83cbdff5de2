import { ConfigError, DataError } from '../errors.js'
import { packSamples, type Row, requireFitting } from './pack-samples.js'
import { createPermutation } from './permute-index.js'
import type { MixedDataset, Mixing } from './plan-mixing.js'
import { cursorError, FIRST_ROW, type OrderCursor, type RowCursor, readRowCursor } from './row-cursor.js'
import { createSampleOrder, type SampleOrder } from './sample-order.js'
import { createSampleStream, type SampleDraw, type SampleStream } from './sample-stream.js'
import { createSourceStream, type SourceStream } from './source-stream.js'

/** Data, seed and packing of an order of training, and where to begin in it. */
export interface RowStreamOptions {
  readonly dataset: MixedDataset
  readonly seed: number
  /** Tokens of a packed row; no sample may be longer. */
  readonly maxLength: number
  /** Several samples per row, or one. */
  readonly packing: boolean
  /** Samples that are packed together, 1..65536. Default 1024. */
  readonly windowSize?: number
  /** How sources are mixed. Default natural. */
  readonly mixing?: Mixing
  /** Where to go on; one of version 0.1 has no `kind`. Default: the start of epoch 0. */
  readonly cursor?: RowCursor | Omit<OrderCursor, 'kind'>
}

/** Rows of one optimiser step. */
export interface RowStep {
  readonly rows: readonly Row[]
  /** Epoch of the rows; of the first one where the draw is steered, an epoch being as many samples as there are. */
  readonly epoch: number
  /** No row of the epoch is left. */
  readonly epochEnd: boolean
}

/** How rows are asked for. */
export interface NextRows {
  /** The last rows of an epoch are skipped where they are no multiple of this. Default 1: none. */
  readonly multipleOf?: number
  /**
   * Share of each source in the tokens of these rows, [G], with sum 1: the draw is steered (`createSourceStream`) and has no end of an epoch.
   * After rows of the order it goes on with as many samples of each source as were read.
   */
  readonly shares?: ArrayLike<number> | undefined
  /** The rows hold the next samples of this draw (`createSampleStream`), which has no end of an epoch. */
  readonly draw?: SampleDraw | undefined
}

/** An endless stream of rows that can be resumed anywhere. */
export interface RowStream {
  /** Where the next row is; a stream made from it continues exactly. */
  readonly cursor: RowCursor
  /**
   * The next rows. Without `shares` or `draw` all are of one epoch: at its end fewer than `numRows` come.
   * @throws {DataError} TOO_LITTLE_DATA when a whole epoch has no such multiple; EMPTY_SHARES when no source with a share has samples;
   *   EMPTY_DRAW when no sample has a weight.
   * @throws {ConfigError} DRAW_STEERED without `shares` or `draw` after a steered draw, which is no place in the order, and with `shares` after
   *   a draw of samples, which is no place in the passes of the sources.
   */
  next(numRows: number, options?: NextRows): RowStep
  /** Rows of an epoch of the order. With packing it depends on the epoch, and packs the whole epoch when first asked. */
  numRowsPerEpoch(epoch: number): number
}

const DEFAULT_WINDOW = 1024
const MAX_WINDOW = 65_536

/**
 * The order of training: the samples of an epoch in the order of `createSampleOrder`, cut into windows of
 * `windowSize` samples; packing happens inside a window, and the rows of a window are permuted too, since packing
 * sorts by length. The order is a function of (seed, epoch, dataset lengths and sources, options) alone, so any cursor
 * can be resumed, on any number of ranks. An epoch has as many samples as the dataset: each exactly once,
 * but for ratios in `mixing`, where a sample comes again only when its source has been read whole.
 *
 * @throws {ConfigError} OUT_OF_RANGE for options; UNKNOWN_SOURCE for `mixing`. @throws {DataError} EMPTY_DATA without samples; SAMPLE_TOO_LONG
 *   for a sample of more than `maxLength` tokens; CURSOR_OUT_OF_RANGE when the cursor is none of this data.
 */
export function createRowStream(options: RowStreamOptions): RowStream {
  const { dataset, windowSize = DEFAULT_WINDOW } = options
  requireInteger('seed', options.seed, 0, Number.MAX_SAFE_INTEGER)
  requireInteger('max_length', options.maxLength, 1, Number.MAX_SAFE_INTEGER)
  requireInteger('window_size', windowSize, 1, MAX_WINDOW)
  if (dataset.numSamples === 0) {
    throw new DataError('EMPTY_DATA', 'expected at least one sample to train on, received none')
  }
  const order = createSampleOrder(dataset, options.seed, options.mixing ?? 'natural')
  const windowOf = (at: Pick<OrderCursor, 'epoch' | 'window'>) => buildWindow(options, order, at, windowSize)
  const numWindows = Math.ceil(dataset.numSamples / windowSize)
  const rowsOfEpochs = new Map<number, number>()
  const start = readRowCursor(options.cursor ?? FIRST_ROW)
  let steered: SourceStream | undefined
  let drawing: SampleStream | undefined
  let cursor = FIRST_ROW
  if (start.kind === 'sources') steered = createSourceStream({ ...options, drawn: start.drawn })
  else if (start.kind === 'samples') drawing = createSampleStream({ ...options, cursor: start })
  else cursor = start
  if (cursor.window >= numWindows) throw cursorError(cursor, `an epoch has ${numWindows} windows`)
  let current = { epoch: cursor.epoch, window: cursor.window, rows: windowOf(cursor) }
  if (cursor.row >= current.rows.length) {
    throw cursorError(cursor, `window ${cursor.window} has ${current.rows.length} rows`)
  }
  const rowsAt = ({ epoch, window }: OrderCursor): readonly Row[] => {
    if (current.epoch !== epoch || current.window !== window) {
      current = { epoch, window, rows: windowOf({ epoch, window }) }
    }
    return current.rows
  }
  /** Samples of the window at the cursor that were read. */
  const readOfWindow = () => (cursor.row === 0 ? [] : rowsAt(cursor).slice(0, cursor.row).flat())
  const numRead = (): number => {
    if (drawing !== undefined) return drawing.cursor.before + drawing.cursor.taken
    if (steered !== undefined) return steered.drawn.reduce((a, b) => a + b, 0)
    return cursor.epoch * dataset.numSamples + cursor.window * windowSize + readOfWindow().length
  }
  const steeredStep = (takeRows: () => readonly Row[]): RowStep => {
    const epochNow = () => Math.floor(numRead() / dataset.numSamples)
    const epoch = epochNow()
    const rows = takeRows()
    return { rows, epoch, epochEnd: epochNow() > epoch }
  }
  const steer = (numRows: number, shares: ArrayLike<number>): RowStep => {
    if (drawing !== undefined) throw drawSteered('samples are')
    if (steered === undefined) {
      const drawn = [...order.drawnBefore(cursor.epoch, cursor.window * windowSize)]
      for (const sample of readOfWindow()) drawn[dataset.sourceIndex(sample)]! += 1
      steered = createSourceStream({ ...options, drawn })
    }
    const stream = steered
    return steeredStep(() => stream.next(numRows, shares))
  }
  const drawSamples = (numRows: number, draw: SampleDraw): RowStep => {
    drawing ??= createSampleStream({
      ...options,
      cursor: { kind: 'samples', draw: draw.number, taken: 0, before: numRead() },
    })
    const stream = drawing
    return steeredStep(() => stream.next(numRows, draw))
  }
  const take = (numRows: number): RowStep & { readonly rows: Row[] } => {
    const { epoch } = cursor
    const rows: Row[] = []
    while (rows.length < numRows && cursor.epoch === epoch) {
      const inWindow = rowsAt(cursor)
      const taken = inWindow.slice(cursor.row, cursor.row + numRows - rows.length)
      rows.push(...taken)
      cursor = { ...cursor, row: cursor.row + taken.length }
      if (cursor.row === inWindow.length) cursor = { ...cursor, window: cursor.window + 1, row: 0 }
      if (cursor.window === numWindows) cursor = { ...FIRST_ROW, epoch: epoch + 1 }
    }
    return { rows, epoch, epochEnd: cursor.epoch > epoch }
  }
  return {
    get cursor(): RowCursor {
      if (drawing !== undefined) return drawing.cursor
      return steered === undefined ? cursor : { kind: 'sources', drawn: steered.drawn }
    },
    next(numRows, { multipleOf = 1, shares, draw } = {}) {
      if (draw !== undefined) return drawSamples(numRows, draw)
      if (shares !== undefined) return steer(numRows, shares)
      if (drawing !== undefined) throw drawSteered('samples are')
      if (steered !== undefined) throw drawSteered('the sources are')
      for (;;) {
        const start = cursor
        const step = take(numRows)
        if (step.epochEnd) step.rows.length -= step.rows.length % multipleOf
        if (step.rows.length > 0) return step
        if (start.window === 0 && start.row === 0) {
          throw new DataError(
            'TOO_LITTLE_DATA',
            `epoch ${start.epoch} has fewer rows than one batch of ${multipleOf}`,
          )
        }
      }
    },
    numRowsPerEpoch(epoch) {
      if (!options.packing) {
        return dataset.numSamples
      }
      let numRows = rowsOfEpochs.get(epoch)
      if (numRows === undefined) {
        numRows = 0
        for (let window = 0; window < numWindows; window++) {
          numRows += windowOf({ epoch, window }).length
        }
        rowsOfEpochs.set(epoch, numRows)
      }
      return numRows
    },
  }
}

function drawSteered(what: string): ConfigError {
  return new ConfigError(
    'DRAW_STEERED',
    `method: the checkpoint was made while a method decided how ${what} drawn, which is no place in another order; go on with such a method or start a new run`,
  )
}

function buildWindow(
  { dataset, seed, maxLength, packing }: RowStreamOptions,
  order: SampleOrder,
  { epoch, window }: Pick<OrderCursor, 'epoch' | 'window'>,
  windowSize: number,
): readonly Row[] {
  const first = window * windowSize
  const size = Math.min(windowSize, dataset.numSamples - first)
  const samples = order.at(epoch, first, size)
  const lengths = requireFitting(samples, dataset, maxLength)
  if (!packing) {
    return samples.map((s) => [s])
  }
  const packed = packSamples(lengths, maxLength)
  const shuffle = createPermutation({ seed, epoch, numSamples: packed.length, stream: window + 1 })
  return packed.map((_, i) => packed[shuffle(i)]!.map((place) => samples[place]!))
}

function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new ConfigError(
      'OUT_OF_RANGE',
      `${name}: expected an integer in ${least}..${most}, received ${value}`,
    )
  }
}
