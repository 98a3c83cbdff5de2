import { closeSync, fstatSync, readSync } from 'node:fs'
import { type DecodedArray, type FileMetaData, parquetMetadata, parquetRead } from 'hyparquet'
import { crc32 } from '../dataset/crc32.js'
import { openRegular } from '../dataset/regular-file.js'
import { AdaptError, ConfigError, HostileFileError, ResourceError } from '../errors.js'
import {
  CHECKSUM_MARK,
  CHECKSUM_ZEROS,
  type ColumnFormat,
  type ColumnFormats,
  PARQUET_MAGIC,
  PARQUET_TYPES,
  type TableFormat,
  type TableRows,
} from './parquet-table.js'

/** Largest footer that is read; ours have some hundred bytes for each row group. */
const MAX_FOOTER_BYTES = 64 << 20
const CHUNK_BYTES = 1 << 20

/** An open Parquet file whose every byte was checked. */
export interface OpenTable<C extends ColumnFormats> {
  readonly numRows: number
  /** Row groups as [first row, first row after them]. */
  readonly groups: readonly (readonly [number, number])[]
  /** Rows begin..end - 1, which must be the bounds of one or several groups. @throws {HostileFileError} */
  read(begin: number, end: number): Promise<TableRows<C>>
  close(): void
}

/**
 * Opens a file that a `TableWriter` wrote: checks its CRC, then that it has exactly the format's columns.
 *
 * @throws {ConfigError} `<NAME>_MISSING`. @throws {ResourceError} `<NAME>_READ`.
 * @throws {HostileFileError} `<NAME>_DAMAGED` for anything but a whole file of this format.
 */
export function openTable<C extends ColumnFormats>(path: string, format: TableFormat<C>): OpenTable<C> {
  const file = guard(path, format, () => new TableFile(path))
  try {
    return guard(path, format, () => {
      const metadata = parquetMetadata(file.footer)
      file.verify()
      const groups = checkLayout(metadata, format.columns, file.size)
      return {
        numRows: groups.at(-1)?.[1] ?? 0,
        groups,
        read: (begin, end) => readRows(path, format, file, metadata, begin, end),
        close: () => file.close(),
      }
    })
  } catch (error) {
    file.close()
    throw error
  }
}

/** A damaged file of this format; `what` completes "expected a whole file, found ...". */
export function damagedTable(
  path: string,
  format: Pick<TableFormat, 'name'>,
  what: string,
  cause?: unknown,
): HostileFileError {
  return new HostileFileError(
    `${format.name.toUpperCase()}_DAMAGED`,
    `${format.name}: expected a whole ${format.name} file at ${path}, found ${what}; restore it from a copy`,
    { path },
    { cause },
  )
}

class TableFile {
  readonly size: number
  /** The last bytes of the file: metadata, its length and the magic. */
  readonly footer: Uint8Array
  readonly #descriptor: number
  #isOpen = true

  constructor(path: string) {
    this.#descriptor = openRegular(path)
    try {
      this.size = fstatSync(this.#descriptor).size
      this.footer = this.#readFooter()
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Compares the CRC of the file with the one it holds. */
  verify(): void {
    const place = Buffer.from(this.footer.buffer).lastIndexOf(CHECKSUM_MARK)
    if (place < 0) throw new Error('no checksum')
    const at = this.size - this.footer.length + place + CHECKSUM_MARK.length
    const before = this.#crc(0, at, 0)
    const crc = this.#crc(
      at + CHECKSUM_ZEROS.length,
      this.size,
      crc32(Buffer.from(CHECKSUM_ZEROS, 'latin1'), before),
    )
    const stored = Buffer.from(this.slice(at, at + CHECKSUM_ZEROS.length)).toString('latin1')
    if (stored !== crc.toString(16).padStart(8, '0')) throw new Error('another checksum than its bytes have')
  }

  slice(begin: number, end: number): ArrayBuffer {
    if (!(begin >= 0 && begin <= end && end <= this.size)) throw new Error('an address outside the file')
    const bytes = new Uint8Array(end - begin)
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(this.#descriptor, bytes, done, bytes.length - done, begin + done)
      if (count === 0) throw new Error('a file that became shorter')
      done += count
    }
    return bytes.buffer
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#descriptor)
    this.#isOpen = false
  }

  #readFooter(): Uint8Array {
    if (this.size < 12) throw new Error('too few bytes')
    const end = new DataView(this.slice(this.size - 8, this.size))
    const length = end.getUint32(0, true)
    const magic = Buffer.from(end.buffer, 4).toString('latin1')
    if (magic !== PARQUET_MAGIC) throw new Error('no Parquet footer')
    if (length > this.size - 12 || length > MAX_FOOTER_BYTES) throw new Error('a footer of impossible length')
    return new Uint8Array(this.slice(this.size - 8 - length, this.size))
  }

  #crc(begin: number, end: number, before: number): number {
    let crc = before
    for (let at = begin; at < end; at += CHUNK_BYTES) {
      crc = crc32(new Uint8Array(this.slice(at, Math.min(end, at + CHUNK_BYTES))), crc)
    }
    return crc
  }
}

/** The row groups of a file with exactly these columns. */
function checkLayout(
  metadata: FileMetaData,
  columns: ColumnFormats,
  size: number,
): (readonly [number, number])[] {
  const names = Object.keys(columns)
  const [root, ...leaves] = metadata.schema
  const found = leaves.map(({ name, type, repetition_type, converted_type }) =>
    [name, type, repetition_type, converted_type].join(' '),
  )
  const wanted = names.map((name) => {
    const { kind } = columns[name]!
    return [name, PARQUET_TYPES[kind], 'REQUIRED', kind === 'string' ? 'UTF8' : undefined].join(' ')
  })
  if (root?.num_children !== names.length || found.join() !== wanted.join()) {
    throw new Error(`the columns ${leaves.map(({ name }) => name).join(', ')}`)
  }
  let numRows = 0
  const groups = metadata.row_groups.map((group): readonly [number, number] => {
    const rows = Number(group.num_rows)
    const isWhole =
      Number.isSafeInteger(rows) &&
      rows >= 0 &&
      group.columns.length === names.length &&
      group.columns.every(
        ({ meta_data }, i) =>
          meta_data?.path_in_schema.join() === names[i] && Number(meta_data?.num_values) === rows,
      )
    if (!isWhole) throw new Error('a row group that is not whole')
    numRows += rows
    return [numRows - rows, numRows]
  })
  // Every row takes bytes of its own, so a larger count is a lie that would fill the memory.
  if (Number(metadata.num_rows) !== numRows || numRows > size) throw new Error('an impossible number of rows')
  return groups
}

async function readRows<C extends ColumnFormats>(
  path: string,
  format: TableFormat<C>,
  file: TableFile,
  metadata: FileMetaData,
  begin: number,
  end: number,
): Promise<TableRows<C>> {
  try {
    const chunks = new Map<string, DecodedArray[]>(Object.keys(format.columns).map((name) => [name, []]))
    await parquetRead({
      file: { byteLength: file.size, slice: (from, to = file.size) => file.slice(from, to) },
      metadata,
      rowStart: begin,
      rowEnd: end,
      // Only collects: an error thrown here would be lost.
      onChunk: ({ columnName, columnData }) => chunks.get(columnName)?.push(columnData),
    })
    const columns = Object.entries(format.columns).map(([name, column]) => [
      name,
      joinChunks(chunks.get(name)!, column, end - begin),
    ])
    return Object.fromEntries(columns) as TableRows<C>
  } catch (error) {
    throw readError(path, format, error)
  }
}

function joinChunks(chunks: readonly DecodedArray[], { kind }: ColumnFormat, numRows: number) {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  if (length !== numRows) throw new Error(`${length} values where ${numRows} were announced`)
  if (kind === 'string' || kind === 'boolean') {
    const values =
      chunks.length === 1 && Array.isArray(chunks[0]) ? chunks[0] : chunks.flatMap((chunk) => [...chunk])
    if (!values.every((value) => typeof value === kind)) throw new Error('a value of another type')
    return values as string[] | boolean[]
  }
  const joined = kind === 'int32' ? new Int32Array(numRows) : new Float32Array(numRows)
  let at = 0
  for (const chunk of chunks) {
    if (chunk.constructor !== joined.constructor) throw new Error('values of another type')
    joined.set(chunk as Int32Array | Float32Array, at)
    at += chunk.length
  }
  return joined
}

function guard<T>(path: string, format: Pick<TableFormat, 'name'>, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw readError(path, format, error)
  }
}

/** The Parquet reader throws all kinds of errors at a damaged file. */
function readError(path: string, format: Pick<TableFormat, 'name'>, error: unknown): AdaptError {
  if (error instanceof AdaptError) return error
  const code = format.name.toUpperCase()
  if (error instanceof Error && 'syscall' in error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return isMissing
      ? new ConfigError(
          `${code}_MISSING`,
          `${format.name}: found no file at ${path}`,
          { path },
          { cause: error },
        )
      : new ResourceError(
          `${code}_READ`,
          `${format.name}: cannot read ${path} (${error.message})`,
          { path },
          { cause: error },
        )
  }
  return damagedTable(path, format, error instanceof Error ? error.message : 'something unreadable', error)
}
