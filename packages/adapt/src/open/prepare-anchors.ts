import { type Batch, buildBatch } from '../batch/index.js'
import { dataSources, type RunConfig } from '../config/index.js'
import { type Document, type ResolvedFile, readDocuments } from '../dataset/index.js'
import { DataError } from '../errors.js'
import { resolveDataFiles } from '../hub/index.js'
import { firstPieces, type Tokenizer, tokenizeDocuments } from '../tokenize/index.js'

/** Rows of one anchor batch. */
const ANCHOR_BATCH_SIZE = 16

/** The anchors of a config, ready to be embedded. */
export interface PreparedAnchors {
  readonly files: readonly ResolvedFile[]
  /** Unpacked, of similar lengths. */
  readonly batches: readonly Batch[]
  /** The anchors in the order of the batches. */
  readonly documents: readonly Document[]
  /** Place among the anchors of the record of each sample that their files make as training data, pieces behind the first too. */
  readonly placeOfSample: readonly number[]
  /** SHA-256 (hex) of the tokens and their tasks. */
  readonly fingerprint: string
}

/**
 * The anchors of a config; one longer than max_length is its first piece.
 * @throws {ConfigError} missing files. @throws {DataError} bad records, EMPTY_DATA.
 */
export async function prepareAnchors(
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  padId: number,
): Promise<PreparedAnchors> {
  const files = await resolveDataFiles(dataSources(config.anchors), baseDir)
  const documents: Document[] = []
  for await (const document of readDocuments(files)) documents.push(document)
  if (documents.length === 0) throw new DataError('EMPTY_DATA', 'anchors: the files hold no record')
  const dataset = await tokenizeDocuments(documents, tokenizer, config.data.max_length)
  const placeOf = ({ path, line }: { readonly path: string; readonly line: number }) => `${path}:${line}`
  const byLength = firstPieces(dataset).sort((a, b) => dataset.length(a) - dataset.length(b) || a - b)
  const batches: Batch[] = []
  for (let start = 0; start < byLength.length; start += ANCHOR_BATCH_SIZE) {
    const rows = byLength.slice(start, start + ANCHOR_BATCH_SIZE).map((i) => [i])
    batches.push(buildBatch(rows, dataset, { padId, packing: false }))
  }
  const recordAt = (i: number) => placeOf(dataset.origin(i))
  const documentAt = new Map(documents.map((document) => [placeOf(document), document]))
  const anchorAt = new Map(byLength.map((i, v) => [recordAt(i), v]))
  return {
    files,
    batches,
    fingerprint: dataset.fingerprint,
    documents: byLength.map((i) => documentAt.get(recordAt(i))!),
    placeOfSample: Array.from({ length: dataset.numSamples }, (_, i) => anchorAt.get(recordAt(i))!),
  }
}
