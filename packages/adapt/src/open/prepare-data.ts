import {
  type Batch,
  createRowStream,
  holdOut,
  mixingWarnings,
  planMixing,
  type RowCursor,
  type RowStream,
} from '../batch/index.js'
import {
  allSources,
  chatOptions,
  dataSources,
  evaluationSources,
  type RunConfig,
  resolveCacheDir,
} from '../config/index.js'
import type { AnchorOverlap } from '../contamination/index.js'
import type { ResolvedFile } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { fetchDataSets, resolveDataFiles, resolveModelPath } from '../hub/index.js'
import {
  findTurnEnds,
  loadTokenizer,
  noteLines,
  openTokenCache,
  type TokenDataset,
  type Tokenizer,
  truncationLines,
} from '../tokenize/index.js'
import { checkAnchorOverlap } from './check-anchor-overlap.js'
import { fetchModels } from './fetch-models.js'
import { fingerprintBase } from './fingerprint-base.js'
import { prepareAnchors } from './prepare-anchors.js'
import { TokenizerSnapshot } from './tokenizer-snapshot.js'

/** Between two looks for a request to stop. */
const LOOK_MS = 100

/** Everything of a run that comes from files, checked before the model is built. */
export interface PreparedData {
  readonly tokenizer: Tokenizer
  /** Its files as they were read. */
  readonly tokenizerFiles: TokenizerSnapshot
  readonly padId: number
  readonly train: TokenDataset
  /** What `data.val_set_size` held out of the training data. */
  readonly validation?: TokenDataset
  readonly rows: RowStream
  /** The same order from another place on. */
  rowsFrom(cursor: RowCursor): RowStream
  /** Every label mask is all ones but for the first token: no prompts. */
  readonly isPlainText: boolean
  readonly anchors: readonly Batch[]
  readonly numAnchors: number
  /** Sources that the anchors name, in order of name. */
  readonly anchorSources: readonly string[]
  /** What the course of training is a function of, by name: SHA-256 (hex) of what was read, and the order as JSON. */
  readonly fingerprints: Readonly<Record<string, string>>
  /** What of the anchors stands in the training data; absent for a method without anchors. */
  readonly anchorOverlap?: AnchorOverlap
  readonly trainFiles: readonly ResolvedFile[]
  readonly evaluationFiles: readonly ResolvedFile[]
  /** What a user should know of the training data: skipped records, files that may be incomplete, unread sources. */
  readonly warnings: readonly string[]
  /** Tokens at which an answer ends: eos and the ends of the chat template's turns. */
  readonly stopIds: readonly number[]
}

/**
 * Reads and tokenises what the config names.
 * @throws {ConfigError} missing files or anchors. @throws {DataError} bad records, no data, nothing to train on.
 */
export async function prepareData(
  config: RunConfig,
  baseDir: string,
  {
    needsAnchors,
    onLine,
    checkStop,
  }: {
    readonly needsAnchors: boolean
    readonly onLine: (line: string) => void
    /** Called while data is tokenised; what it throws ends the preparation. */
    readonly checkStop?: () => void
  },
): Promise<PreparedData> {
  const { data, training } = config
  await fetchModels(config, baseDir, { onLine, checkStop })
  await fetchDataSets(allSources(config), baseDir, { onLine, checkStop })
  using stopWatch = new StopWatch(checkStop)
  const tokenizerFiles = TokenizerSnapshot.take(resolveModelPath(baseDir, config.tokenizer))
  const tokenizer = loadTokenizer(tokenizerFiles.source, chatOptions(config, baseDir), {
    signal: stopWatch.signal,
  })
  const change = tokenizerFiles.change()
  if (change !== undefined)
    throw new ConfigError(
      'FILE_CHANGED',
      `tokenizer: ${change} while it was read; start again when it is complete`,
    )
  const padId = tokenizer.padId ?? tokenizer.eosId
  if (needsAnchors && config.anchors.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: this method compares samples with anchors, but none are given',
    )
  }
  const trainFiles = await resolveDataFiles(dataSources(data.train), baseDir)
  const evaluationFiles = await resolveDataFiles(evaluationSources(config), baseDir)
  let lastLine = 0
  const whole = await openTokenCache({
    files: trainFiles,
    tokenizer,
    maxLength: data.max_length,
    cacheDir: resolveCacheDir(config, baseDir),
    numWorkers: data.num_workers,
    maxBadRecords: data.max_bad_records,
    onProgress: ({ numDocuments, numTokens, file }) => {
      checkStop?.()
      if (Date.now() - lastLine < 2000) return
      lastLine = Date.now()
      onLine(
        `tokenizing ${file}: ${numDocuments.toLocaleString('en')} documents, ${numTokens.toLocaleString('en')} tokens`,
      )
    },
  })
  const turnEnds = whole.numChats > 0 ? await findTurnEnds(tokenizer) : undefined
  const { train, validation } = holdOut(whole, data.val_set_size, training.seed)
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
  const prepared = needsAnchors ? await prepareAnchors(config, baseDir, tokenizer, padId) : undefined
  const anchorOverlap =
    prepared && (await checkAnchorOverlap(config, baseDir, { files: prepared.files, trainFiles, train }))
  const isPlainText = train.numLabels === train.numTokens - train.numSamples
  return {
    tokenizer,
    tokenizerFiles,
    padId,
    train,
    ...(validation === undefined ? {} : { validation }),
    rows: openRows(),
    rowsFrom: openRows,
    isPlainText,
    anchors: prepared?.batches ?? [],
    numAnchors: prepared?.documents.length ?? 0,
    anchorSources: [...new Set(prepared?.documents.map(({ source }) => source))].sort(),
    fingerprints: {
      data: train.fingerprint,
      tokenizer: tokenizer.hash,
      anchors: prepared?.fingerprint ?? '',
      base: fingerprintBase(config, baseDir),
      order: describeOrder(config),
    },
    ...(anchorOverlap ? { anchorOverlap } : {}),
    trainFiles,
    evaluationFiles,
    stopIds: [tokenizer.eosId, ...(turnEnds?.ids ?? [])],
    warnings: [
      ...(turnEnds?.warnings ?? []),
      ...noteLines(train.notes),
      ...truncationLines(whole),
      ...mixingWarnings(planMixing(train, data.mixing)),
    ],
  }
}

/** What the order of the samples is a function of besides the samples: a place in it means nothing under another. */
function describeOrder({ data, training }: RunConfig): string {
  const { max_length, packing, packing_window, mixing, val_set_size } = data
  return JSON.stringify({ seed: training.seed, max_length, packing, packing_window, mixing, val_set_size })
}

/** Turns what `checkStop` throws into an abort, also while one document is tokenised for long. */
class StopWatch implements Disposable {
  private readonly controller = new AbortController()
  private readonly timer: NodeJS.Timeout

  constructor(checkStop: (() => void) | undefined) {
    this.timer = setInterval(() => {
      try {
        checkStop?.()
      } catch (error) {
        this.controller.abort(error)
        clearInterval(this.timer)
      }
    }, LOOK_MS)
    this.timer.unref()
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer)
  }
}
