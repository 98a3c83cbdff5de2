import {
  type Batch,
  buildBatch,
  createRowStream,
  mixingWarnings,
  planMixing,
  type RowCursor,
  type RowStream,
} from '../batch/index.js'
import { dataSources, type RunConfig, resolveCacheDir, resolveConfigPath } from '../config/index.js'
import { type Document, type ResolvedFile, readDocuments, resolveSources } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import {
  loadTokenizer,
  noteLines,
  openTokenCache,
  type TokenDataset,
  type Tokenizer,
  tokenizeDocuments,
} from '../tokenize/index.js'

/** Everything of a run that comes from files, checked before the model is built. */
export interface PreparedData {
  readonly tokenizer: Tokenizer
  readonly padId: number
  readonly train: TokenDataset
  readonly rows: RowStream
  /** The same order from another place on. */
  rowsFrom(cursor: RowCursor): RowStream
  /** Every label mask is all ones but for the first token: no prompts. */
  readonly isPlainText: boolean
  readonly anchors: readonly Batch[]
  readonly numAnchors: number
  /** SHA-256 (hex) of everything that the course of training is a function of, by name. */
  readonly fingerprints: Readonly<Record<string, string>>
  readonly evaluationFiles: readonly ResolvedFile[]
  /** What a user should know of the training data: skipped records, files that may be incomplete, unread sources. */
  readonly warnings: readonly string[]
}

/** Rows of one anchor batch. */
const ANCHOR_BATCH_SIZE = 16

/**
 * Reads and tokenises what the config names.
 * @throws {ConfigError} missing files or anchors. @throws {DataError} bad records, no data, nothing to train on.
 */
export async function prepareData(
  config: RunConfig,
  baseDir: string,
  { needsAnchors, onLine }: { readonly needsAnchors: boolean; readonly onLine: (line: string) => void },
): Promise<PreparedData> {
  const { data, training } = config
  const tokenizer = loadTokenizer(resolveConfigPath(baseDir, config.tokenizer))
  const padId = tokenizer.padId ?? tokenizer.eosId
  if (needsAnchors && config.anchors.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: this method compares samples with anchors, but none are given',
    )
  }
  const trainFiles = await resolveSources(dataSources(data.train), baseDir)
  const evaluationFiles = await resolveSources(dataSources(config.evaluation.sets), baseDir)
  let lastLine = 0
  const train = await openTokenCache({
    files: trainFiles,
    tokenizer,
    maxLength: data.max_length,
    cacheDir: resolveCacheDir(config, baseDir),
    numWorkers: data.num_workers,
    maxBadRecords: data.max_bad_records,
    onProgress: ({ numDocuments, numTokens, file }) => {
      if (Date.now() - lastLine < 2000) return
      lastLine = Date.now()
      onLine(
        `tokenizing ${file}: ${numDocuments.toLocaleString('en')} documents, ${numTokens.toLocaleString('en')} tokens`,
      )
    },
  })
  const openRows = (cursor?: RowCursor) =>
    createRowStream({
      dataset: train,
      seed: training.seed,
      maxLength: data.max_length,
      packing: data.packing,
      windowSize: Math.min(data.packing_window, 65_536),
      mixing: data.mixing,
      ...(cursor === undefined ? {} : { cursor }),
    })
  const anchors = needsAnchors ? await prepareAnchors(config, baseDir, tokenizer, padId) : NO_ANCHORS
  const isPlainText = train.numLabels === train.numTokens - train.numSamples
  return {
    tokenizer,
    padId,
    train,
    rows: openRows(),
    rowsFrom: openRows,
    isPlainText,
    anchors: anchors.batches,
    numAnchors: anchors.batches.reduce((sum, batch) => sum + batch.samples.length, 0),
    fingerprints: { data: train.fingerprint, tokenizer: tokenizer.hash, anchors: anchors.fingerprint },
    evaluationFiles,
    warnings: [...noteLines(train.notes), ...mixingWarnings(planMixing(train, data.mixing))],
  }
}

interface PreparedAnchors {
  readonly batches: readonly Batch[]
  readonly fingerprint: string
}

const NO_ANCHORS: PreparedAnchors = { batches: [], fingerprint: '' }

/** Anchors as unpacked batches of similar lengths; an anchor longer than max_length is its first piece. */
async function prepareAnchors(
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  padId: number,
): Promise<PreparedAnchors> {
  const documents: Document[] = []
  for await (const document of readDocuments(await resolveSources(dataSources(config.anchors), baseDir)))
    documents.push(document)
  if (documents.length === 0) throw new DataError('EMPTY_DATA', 'anchors: the files hold no record')
  const dataset = await tokenizeDocuments(documents, tokenizer, config.data.max_length)
  const seen = new Set<string>()
  const firstPieces = Array.from({ length: dataset.numSamples }, (_, i) => i).filter((i) => {
    const { path, line } = dataset.sample(i)
    const document = `${path}:${line}`
    return !seen.has(document) && seen.add(document)
  })
  const byLength = firstPieces.sort((a, b) => dataset.length(a) - dataset.length(b) || a - b)
  const batches: Batch[] = []
  for (let start = 0; start < byLength.length; start += ANCHOR_BATCH_SIZE) {
    const rows = byLength.slice(start, start + ANCHOR_BATCH_SIZE).map((i) => [i])
    batches.push(buildBatch(rows, dataset, { padId, packing: false }))
  }
  return { batches, fingerprint: dataset.fingerprint }
}
