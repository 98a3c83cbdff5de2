import type { DataNotes } from './data-notes.js'
import type { DatasetCounts } from './dataset-counts.js'

/** One sample: a document, or a piece of a long one. */
export interface TokenizedSample {
  /** Dense integer from 0, unique per data fingerprint. */
  readonly index: number
  /** The document's id, plus `#k` for the k-th piece (from 0) when the document was split. */
  readonly id: string
  readonly source: string
  /** Static weight: the record's times that of its data entry. */
  readonly weight: number
  readonly path: string
  readonly line: number
  /** int32 [<= maxLength]. */
  readonly tokens: Int32Array
  /** uint8, same length: 1 where the token is to be predicted. Position 0 is always 0. */
  readonly labelMask: Uint8Array
}

/** What is known of a sample apart from its tokens. */
export type SampleOrigin = Omit<TokenizedSample, 'tokens' | 'labelMask'>

/** Samples on disk or in memory, read on demand; document order. */
export interface TokenDataset extends DatasetCounts {
  /** SHA-256 (hex) that identifies samples, their order and the weights of records (not those of data entries). */
  readonly fingerprint: string
  /** Names of the sources, in order of first appearance. */
  readonly sources: readonly string[]
  /** Records that were skipped, files that may be incomplete. */
  readonly notes: DataNotes
  /** @throws {RangeError} for an index outside 0..numSamples-1. @throws {DataError} CACHE_DAMAGED */
  sample(index: number): TokenizedSample
  /** The sample without its tokens, which are not read. Throws as `sample` does. */
  origin(index: number): SampleOrigin
  /** Tokens of a sample, without reading it. */
  length(index: number): number
  /** Labels of a sample, without reading it. */
  labelCount(index: number): number
  /** Index into `sources` of a sample, without reading it. */
  sourceIndex(index: number): number
  /** Number of a sample's document in reading order, from 0, without reading it. */
  documentIndex(index: number): number
  /** Closes its files. Reading afterwards is an error. */
  close(): void
}
