/**
 * What is known of a sample apart from its tokens, as a record of 64 bytes: three float64 (first token, in
 * tokens; first byte of the id; weight), then ten uint32 (length to idCrc). Which tokens are labels stands with
 * the tokens themselves (`markedToken`).
 */
export interface SampleRecordFields {
  readonly firstToken: number
  readonly firstIdByte: number
  readonly weight: number
  readonly length: number
  /** Tokens that are to be predicted. */
  readonly numLabels: number
  /** Index of the data file. */
  readonly path: number
  readonly line: number
  /** 0 for a whole document, else 1 + the piece's number. */
  readonly piece: number
  readonly source: number
  readonly idBytes: number
  /** Number of the document in reading order. */
  readonly document: number
  /** CRC-32 of the bytes of its tokens: what is read later must be what was written. */
  readonly tokensCrc: number
  /** CRC-32 of the bytes of its document's id. */
  readonly idCrc: number
}

export const RECORD_BYTES = 64

/** Writes one record in this machine's byte order; the cache key holds the byte order. */
export function encodeRecord(fields: SampleRecordFields): Uint8Array {
  const buffer = new ArrayBuffer(RECORD_BYTES)
  new Float64Array(buffer, 0, 3).set([fields.firstToken, fields.firstIdByte, fields.weight])
  new Uint32Array(buffer, 24, 10).set([
    fields.length,
    fields.numLabels,
    fields.path,
    fields.line,
    fields.piece,
    fields.source,
    fields.idBytes,
    fields.document,
    fields.tokensCrc,
    fields.idCrc,
  ])
  return new Uint8Array(buffer)
}

/** All records of a dataset, held as bytes: 64 MB for a million samples. */
export class SampleRecords {
  readonly size: number
  readonly #floats: Float64Array
  readonly #ints: Uint32Array

  /** @param buffer  Whole records. */
  constructor(buffer: ArrayBuffer) {
    this.size = buffer.byteLength / RECORD_BYTES
    this.#floats = new Float64Array(buffer)
    this.#ints = new Uint32Array(buffer)
  }

  length(index: number): number {
    return this.#int(index, 0)
  }

  numLabels(index: number): number {
    return this.#int(index, 1)
  }

  /** Number of the sample's document in reading order. */
  document(index: number): number {
    return this.#int(index, 7)
  }

  source(index: number): number {
    return this.#int(index, 5)
  }

  get(index: number): SampleRecordFields {
    // Judges the index before anything is read.
    const length = this.#int(index, 0)
    const at = index * 8
    return {
      firstToken: this.#floats[at]!,
      firstIdByte: this.#floats[at + 1]!,
      weight: this.#floats[at + 2]!,
      length,
      numLabels: this.#int(index, 1),
      path: this.#int(index, 2),
      line: this.#int(index, 3),
      piece: this.#int(index, 4),
      source: this.#int(index, 5),
      idBytes: this.#int(index, 6),
      document: this.#int(index, 7),
      tokensCrc: this.#int(index, 8),
      idCrc: this.#int(index, 9),
    }
  }

  #int(index: number, field: number): number {
    if (!(Number.isInteger(index) && index >= 0 && index < this.size)) {
      throw new RangeError(`sample ${index}: expected an index in 0..${this.size - 1}`)
    }
    return this.#ints[index * 16 + 6 + field]!
  }
}
