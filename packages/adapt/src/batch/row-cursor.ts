import { DataError } from '../errors.js'

/** A place in the order that `data.mixing` gives. */
export interface OrderCursor {
  readonly kind: 'order'
  readonly epoch: number
  /** Window of samples within the epoch. */
  readonly window: number
  /** Row within the window. */
  readonly row: number
}

/** A place in a draw that is steered by the shares of the sources. */
export interface SourceCursor {
  readonly kind: 'sources'
  /** Samples that were drawn of each source so far, over all passes, in the order of the dataset's sources. */
  readonly drawn: readonly number[]
}

/** A place in a draw of single samples. */
export interface SampleCursor {
  readonly kind: 'samples'
  /** Of the draw: another one begins at its first sample. */
  readonly draw: number
  /** Samples of it that were read. */
  readonly taken: number
  /** Samples that were read before it. */
  readonly before: number
}

/** Position of the next row; JSON. */
export type RowCursor = OrderCursor | SourceCursor | SampleCursor

/** The first row of an order. */
export const FIRST_ROW: OrderCursor = { kind: 'order', epoch: 0, window: 0, row: 0 }

/**
 * A cursor as it stands in a checkpoint. Version 0.1 knew one kind and named none.
 * @throws {DataError} CURSOR_OUT_OF_RANGE for what is none.
 */
export function readRowCursor(value: unknown): RowCursor {
  const cursor = { kind: 'order', ...(value as Partial<RowCursor> | null) } as RowCursor
  if (cursor.kind === 'order') {
    for (const key of ['epoch', 'window', 'row'] as const) {
      if (!isCount(cursor[key])) throw cursorError(cursor, `${key} is no integer >= 0`)
    }
    return cursor
  }
  if (cursor.kind === 'samples') {
    for (const key of ['draw', 'taken', 'before'] as const) {
      if (!isCount(cursor[key])) throw cursorError(cursor, `${key} is no integer >= 0`)
    }
    return cursor
  }
  if (cursor.kind !== 'sources') throw cursorError(cursor, 'expected the kind order, sources or samples')
  if (!Array.isArray(cursor.drawn) || !cursor.drawn.every(isCount)) {
    throw cursorError(cursor, 'drawn is no list of integers >= 0')
  }
  return cursor
}

/** The error for a cursor that is no place in the data at hand. */
export function cursorError(cursor: unknown, problem: string): DataError {
  return new DataError(
    'CURSOR_OUT_OF_RANGE',
    `data cursor ${JSON.stringify(cursor)}: ${problem}; it belongs to other data or other options`,
    { cursor },
  )
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
