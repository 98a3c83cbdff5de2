/** A column of a table and how it is stored. The choice of encodings is in docs/ledger.md. */
export interface ColumnFormat {
  readonly kind: 'int32' | 'float32' | 'string' | 'boolean'
  /** Few distinct texts: each is stored once. */
  readonly dictionary?: boolean
  /** Snappy; only where it pays, because it is most of the cost of writing. */
  readonly compressed?: boolean
  /** Smallest and largest value of each row group, by which other tools skip what they do not need. */
  readonly range?: boolean
}

export type ColumnFormats = Readonly<Record<string, ColumnFormat>>

interface ColumnData {
  readonly int32: Int32Array
  readonly float32: Float32Array
  readonly string: readonly string[]
  readonly boolean: readonly boolean[]
}

/** Columns of equal length by name. */
export type TableRows<C extends ColumnFormats> = { readonly [Name in keyof C]: ColumnData[C[Name]['kind']] }

/** What is stored in one kind of Parquet file. */
export interface TableFormat<C extends ColumnFormats = ColumnFormats> {
  /** Begins the messages and, in capitals, the codes of errors: `LEDGER_DAMAGED`. */
  readonly name: 'ledger' | 'samples' | 'scores'
  /** In the order of the file. None can be null. */
  readonly columns: C
}

export const PARQUET_MAGIC = 'PAR1'
/** Key of the CRC-32 of all bytes of the file, taken with the zeros below in the place of its 8 hex digits. */
export const CHECKSUM_KEY = 'adapt.crc32'
export const CHECKSUM_ZEROS = '00000000'
/** How the key and the length of its value stand in the footer (Thrift's compact protocol). */
export const CHECKSUM_MARK = Buffer.from(`${CHECKSUM_KEY}\x18\x08`, 'latin1')
/** Key of the table's name and version. */
export const FORMAT_KEY = 'adapt.format'

/** Physical types of Parquet. */
export const PARQUET_TYPES = {
  int32: 'INT32',
  float32: 'FLOAT',
  string: 'BYTE_ARRAY',
  boolean: 'BOOLEAN',
} as const
