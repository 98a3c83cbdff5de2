import { dirname } from 'node:path'
import { crc32 } from '../dataset/crc32.js'
import { printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import { type DataNotes, NO_NOTES } from './data-notes.js'
import { CountedDataset } from './dataset-counts.js'
import type { DatasetFacts } from './dataset-facts.js'
import { idOfToken, isLabel } from './marked-token.js'
import { SampleRecords } from './sample-records.js'
import type { SampleOrigin, TokenDataset, TokenizedSample } from './token-dataset.js'

/** Bytes of a dataset: in memory or in a file. */
export interface ByteStore {
  /** The file, for messages. */
  readonly name: string
  /** A copy of `length` bytes from `offset`. @throws {DataError} CACHE_DAMAGED when they are not there. */
  read(offset: number, length: number): Uint8Array
  close(): void
}

/** A store over bytes in memory. */
export function memoryStore(buffer: ArrayBuffer): ByteStore {
  return {
    name: 'memory',
    read: (offset, length) => new Uint8Array(buffer.slice(offset, offset + length)),
    close: () => {},
  }
}

/** Nothing but the record of a sample says what its bytes were; the fingerprint of the data is that of the files they came from. */
function altered(index: number, { name }: ByteStore): DataError {
  const what = `sample ${index}: ${printable(name)} does not hold what was written there`
  return new DataError(
    'CACHE_DAMAGED',
    `${what}; delete the folder ${printable(dirname(name))} and start again`,
    { file: name },
  )
}

/** A `TokenDataset` over the bytes that a `SampleWriter` wrote. */
export class StoredDataset extends CountedDataset implements TokenDataset {
  readonly fingerprint: string
  readonly sources: readonly string[]
  readonly notes: DataNotes
  readonly #facts: DatasetFacts
  readonly #records: SampleRecords
  readonly #tokens: ByteStore
  readonly #ids: ByteStore
  readonly #weightOfPath: Float64Array

  /** @param weights  What the weights of the records of a data file are multiplied by; 1 where a file is not named. */
  constructor(
    facts: DatasetFacts,
    fingerprint: string,
    bytes: { readonly records: ArrayBuffer; readonly tokens: ByteStore; readonly ids: ByteStore },
    weights: ReadonlyMap<string, number> = new Map(),
  ) {
    super(facts)
    this.fingerprint = fingerprint
    this.sources = facts.sources
    this.notes = facts.notes ?? NO_NOTES
    this.#weightOfPath = Float64Array.from(facts.paths, (name) => weights.get(name) ?? 1)
    this.#facts = facts
    this.#records = new SampleRecords(bytes.records)
    this.#tokens = bytes.tokens
    this.#ids = bytes.ids
  }

  length(index: number): number {
    return this.#records.length(index)
  }

  labelCount(index: number): number {
    return this.#records.numLabels(index)
  }

  sourceIndex(index: number): number {
    return this.#records.source(index)
  }

  documentIndex(index: number): number {
    return this.#records.document(index)
  }

  sample(index: number): TokenizedSample {
    const record = this.#records.get(index)
    const bytes = this.#tokens.read(record.firstToken * 4, record.length * 4)
    if (crc32(bytes) !== record.tokensCrc) throw altered(index, this.#tokens)
    const marked = new Int32Array(bytes.buffer, bytes.byteOffset, record.length)
    const labelMask = Uint8Array.from(marked, (token) => (isLabel(token) ? 1 : 0))
    const tokens = marked.map(idOfToken)
    // An id outside the embedding would be read from memory that is not there.
    if (tokens.some((id) => id >= this.#facts.vocabSize)) {
      throw new DataError(
        'CACHE_DAMAGED',
        `sample ${index}: the token cache holds an id outside 0..${this.#facts.vocabSize - 1}; delete the cache`,
      )
    }
    return { ...this.origin(index), tokens, labelMask }
  }

  origin(index: number): SampleOrigin {
    const record = this.#records.get(index)
    const bytes = this.#ids.read(record.firstIdByte, record.idBytes)
    if (crc32(bytes) !== record.idCrc) throw altered(index, this.#ids)
    const id = Buffer.from(bytes).toString('utf8')
    return {
      index,
      id: record.piece === 0 ? id : `${id}#${record.piece - 1}`,
      source: this.sources[record.source]!,
      weight: record.weight * this.#weightOfPath[record.path]!,
      path: this.#facts.paths[record.path]!,
      line: record.line,
    }
  }

  close(): void {
    this.#tokens.close()
    this.#ids.close()
  }
}
