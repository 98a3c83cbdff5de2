import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Encoding, SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { crc32 } from '../dataset/crc32.js'
import { syncPath } from '../dataset/sync-path.js'
import { ResourceError } from '../errors.js'
import {
  CHECKSUM_KEY,
  CHECKSUM_MARK,
  CHECKSUM_ZEROS,
  type ColumnFormat,
  type ColumnFormats,
  FORMAT_KEY,
  PARQUET_TYPES,
  type TableFormat,
  type TableRows,
} from './parquet-table.js'

/** Ending of a file that is being written. */
export const TEMPORARY = '.tmp'

/**
 * Writes a Parquet file row group by row group into a temporary file beside it, which `publish` moves into place
 * when all of it is on the disk. A crash leaves the file as it was, and at most the temporary one.
 */
export class TableWriter<C extends ColumnFormats> {
  readonly path: string
  readonly #format: TableFormat<C>
  readonly #sink: FileSink
  readonly #parquet: ParquetWriter

  /** @throws {ResourceError} `<NAME>_WRITE`, as do the other methods. */
  constructor(path: string, format: TableFormat<C>) {
    this.path = path
    this.#format = format
    this.#sink = this.#guard(() => new FileSink(path + TEMPORARY))
    this.#parquet = this.#guard(
      () =>
        new ParquetWriter({
          writer: this.#sink,
          schema: schemaOf(format.columns),
          codec: 'UNCOMPRESSED',
          createdBy: 'adapt',
          kvMetadata: [
            { key: FORMAT_KEY, value: `${format.name} 1` },
            { key: CHECKSUM_KEY, value: CHECKSUM_ZEROS },
          ],
        }),
    )
  }

  /** Appends rows as one row group. */
  write(rows: TableRows<C>): void {
    const columnData = Object.entries(this.#format.columns).map(([name, column]) => ({
      name,
      data: rows[name]! as Int32Array | Float32Array | string[] | boolean[],
      encoding: encodingOf(column),
      codec: column.compressed === true ? ('SNAPPY' as const) : ('UNCOMPRESSED' as const),
      statistics: column.range === true,
    }))
    const rowGroupSize = Math.max(1, columnData[0]!.data.length)
    this.#guard(() => this.#parquet.write({ columnData, rowGroupSize, pageSize: ONE_PAGE }))
  }

  /** Writes the footer; afterwards the file is there, whole, whatever happens to the machine. */
  publish(): void {
    this.#guard(() => {
      this.#parquet.finish()
      this.#sink.close(true)
      renameSync(this.path + TEMPORARY, this.path)
      try {
        syncPath(dirname(this.path))
      } catch (error) {
        // Who is told that it failed writes the rows again, under another name: they must not be there twice.
        rmSync(this.path, { force: true })
        throw error
      }
    })
  }

  /** Gives up: removes the temporary file. */
  abort(): void {
    try {
      this.#sink.close(false)
      rmSync(this.path + TEMPORARY, { force: true })
    } catch {
      // The error that led here says what is wrong; what is left is removed with the next truncation.
    }
  }

  #guard<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      if (this.#sink !== undefined) this.abort()
      throw writeError(this.#format, this.path, error)
    }
  }
}

/** Runs a system call on a table's behalf. Errors of the system become `<NAME>_WRITE`; others pass. */
export function writeError(format: Pick<TableFormat, 'name'>, path: string, error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error
  return new ResourceError(
    `${format.name.toUpperCase()}_WRITE`,
    `${format.name}: cannot write ${path} (${error.message}); is the disk full?`,
    { path },
    { cause: error },
  )
}

/** A column of a row group is read whole, so pages within it would only add headers. */
const ONE_PAGE = 1 << 30

function encodingOf({ kind, dictionary }: ColumnFormat): Encoding {
  if (dictionary === true) return 'RLE_DICTIONARY'
  return kind === 'int32' ? 'DELTA_BINARY_PACKED' : 'PLAIN'
}

function schemaOf(columns: ColumnFormats): SchemaElement[] {
  const leaves = Object.entries(columns).map(
    ([name, { kind }]): SchemaElement => ({
      name,
      type: PARQUET_TYPES[kind],
      repetition_type: 'REQUIRED',
      ...(kind === 'string' ? { converted_type: 'UTF8' } : {}),
    }),
  )
  return [{ name: 'root', num_children: leaves.length }, ...leaves]
}

/** Bytes on their way to a file, with their CRC. */
class FileSink extends ByteWriter {
  #descriptor: number
  #crc = 0

  constructor(path: string) {
    super(1 << 16)
    this.#descriptor = openSync(path, 'w')
  }

  /** Called after each row group. */
  flush(): void {
    const bytes = this.getBytes()
    this.#crc = crc32(bytes, this.#crc)
    this.#writeAll(bytes)
  }

  /** Called after the footer, which is all that is left: puts the CRC into its place. */
  override finish(): void {
    const bytes = Buffer.from(this.buffer, 0, this.index)
    const place = bytes.lastIndexOf(CHECKSUM_MARK) + CHECKSUM_MARK.length
    const crc = crc32(bytes, this.#crc)
    bytes.write(crc.toString(16).padStart(8, '0'), place, 'latin1')
    this.#writeAll(bytes)
  }

  close(sync: boolean): void {
    if (this.#descriptor < 0) return
    const descriptor = this.#descriptor
    this.#descriptor = -1
    try {
      if (sync) fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }

  #writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done)
    this.index = 0
  }
}
