import { crc32 } from '../dataset/crc32.js'
import type { Document } from '../dataset/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import type { DatasetFacts } from './dataset-facts.js'
import { isLabel, labelRuns, markContext } from './marked-token.js'
import { encodeRecord, type SampleRecordFields } from './sample-records.js'

/** Where a writer puts its three streams of bytes. */
export interface SampleSink {
  tokens(part: Uint8Array): void
  ids(part: Uint8Array): void
  records(part: Uint8Array): void
}

// Reports and tables have a line per source; more are ids in the wrong field.
const MAX_SOURCES = 65_535

/** @throws {ConfigError} OUT_OF_RANGE unless `maxLength` is an integer >= 2: a sample is at least start and eos. */
export function assertMaxLength(maxLength: number): void {
  if (!Number.isSafeInteger(maxLength) || maxLength < 2) {
    throw new ConfigError(
      'OUT_OF_RANGE',
      `max_length: expected an integer >= 2 (tokens), received ${maxLength}`,
    )
  }
}

/**
 * Turns encoded documents into samples of at most `maxLength` tokens, in the order they are added.
 *
 * Text of more tokens is split: each piece starts with the last token of the piece before, which it may not
 * predict, so every token but the document's first is predicted exactly once. A completion or chat of more tokens is
 * cut at the right and counted; one that keeps no label stays, so that nothing vanishes unseen, and is counted.
 */
export class SampleWriter {
  readonly #maxLength: number
  readonly #sink: SampleSink
  readonly #sources = new Map<string, number>()
  readonly #paths = new Map<string, number>()
  #numSamples = 0
  #numTokens = 0
  #numLabels = 0
  #numDocuments = 0
  #numTruncated = 0
  #numChats = 0
  #numResponses = 0
  #numLostResponses = 0
  #numUnlabelled = 0
  #numIdBytes = 0

  constructor(maxLength: number, sink: SampleSink) {
    assertMaxLength(maxLength)
    this.#maxLength = maxLength
    this.#sink = sink
  }

  get numTokens(): number {
    return this.#numTokens
  }

  /**
   * @param tokens  int32 [n], the whole document as marked tokens; see `markedToken`.
   * @throws {DataError} TOO_MANY_SOURCES
   */
  add(document: Document, tokens: Int32Array): void {
    const id = Buffer.from(document.id, 'utf8')
    this.#sink.ids(id)
    const base = {
      firstIdByte: this.#numIdBytes,
      idBytes: id.length,
      weight: document.weight,
      path: indexIn(this.#paths, document.path),
      line: document.line,
      source: indexIn(this.#sources, document.source),
      document: this.#numDocuments,
      idCrc: crc32(id),
    }
    this.#numIdBytes += id.length
    this.#numDocuments += 1
    if (this.#sources.size > MAX_SOURCES) {
      throw new DataError(
        'TOO_MANY_SOURCES',
        `${printable(document.path)}:${document.line}: expected at most ${MAX_SOURCES} different sources; ` +
          'set source for the data entry to give all its records one name',
      )
    }
    const isSplit = document.content.kind === 'text' && tokens.length > this.#maxLength
    const step = isSplit ? this.#maxLength - 1 : tokens.length
    for (let start = 0, piece = 0; start < tokens.length - (isSplit ? 1 : 0); start += step, piece++) {
      // A copy: the token that two pieces share is a label of the first only.
      const part = tokens.slice(start, start + this.#maxLength)
      markContext(part, 0, 1)
      this.#emit(part, { ...base, piece: isSplit ? piece + 1 : 0 })
    }
    if (document.content.kind === 'text') return
    const runs = labelRuns(tokens)
    this.#numChats += document.content.kind === 'chat' ? 1 : 0
    this.#numResponses += runs.length
    this.#numTruncated += tokens.length > this.#maxLength ? 1 : 0
    this.#numLostResponses += runs.filter((start) => start >= this.#maxLength).length
  }

  /** Facts about everything added so far. */
  facts(vocabSize: number): DatasetFacts {
    return {
      numSamples: this.#numSamples,
      numTokens: this.#numTokens,
      numLabels: this.#numLabels,
      numDocuments: this.#numDocuments,
      numTruncated: this.#numTruncated,
      numChats: this.#numChats,
      numResponses: this.#numResponses,
      numLostResponses: this.#numLostResponses,
      numUnlabelled: this.#numUnlabelled,
      vocabSize,
      sources: [...this.#sources.keys()],
      paths: [...this.#paths.keys()],
    }
  }

  #emit(
    tokens: Int32Array,
    fields: Omit<SampleRecordFields, 'firstToken' | 'length' | 'numLabels' | 'tokensCrc'>,
  ): void {
    const { length } = tokens
    const numLabels = tokens.reduce((sum, token) => sum + (isLabel(token) ? 1 : 0), 0)
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)
    this.#sink.tokens(bytes)
    const place = { firstToken: this.#numTokens, length, numLabels, tokensCrc: crc32(bytes) }
    this.#sink.records(encodeRecord({ ...fields, ...place }))
    this.#numSamples += 1
    this.#numTokens += length
    this.#numLabels += numLabels
    this.#numUnlabelled += numLabels === 0 ? 1 : 0
  }
}

function indexIn(table: Map<string, number>, key: string): number {
  const known = table.get(key)
  if (known !== undefined) {
    return known
  }
  table.set(key, table.size)
  return table.size - 1
}
