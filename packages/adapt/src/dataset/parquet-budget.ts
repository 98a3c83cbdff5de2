import { HostileFileError } from '../errors.js'
import { printable } from './printable.js'

const FREE_BYTES = 64 * 1024 * 1024
const RATIO = 1000
/** Bytes that stand for a value of a table, a null or an end of a list too. */
const VALUE_BYTES = 8

/**
 * Counts what a Parquet file unpacks to, before it is unpacked: pages, values, and each use of a text in a dictionary.
 * The limit is that of a gzip file.
 */
export class ParquetBudget {
  #numBytes = 0
  readonly #limit: number

  constructor(
    readonly name: string,
    fileBytes: number,
  ) {
    this.#limit = Math.max(FREE_BYTES, RATIO * fileBytes)
  }

  /** @throws {HostileFileError} PARQUET_BOMB past 64 MiB when it is more than 1000 times the file. */
  takeBytes(count: number): void {
    this.#numBytes += count
    if (this.#numBytes <= this.#limit) return
    throw new HostileFileError(
      'PARQUET_BOMB',
      `${printable(this.name)}: unpacks to more than ${RATIO} times its size (${this.#numBytes} bytes so far); ` +
        'real text does not; write it again as .jsonl if it is meant so',
      { file: this.name },
    )
  }

  /** @throws {HostileFileError} PARQUET_BOMB */
  takeValues(count: number): void {
    this.takeBytes(count * VALUE_BYTES)
  }
}
