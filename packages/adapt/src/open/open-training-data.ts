import { holdOut, mixingWarnings, planMixing } from '../batch/index.js'
import { allSources, chatOptions, dataSources, type RunConfig, resolveCacheDir } from '../config/index.js'
import type { ResolvedFile } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { fetchDataSets, resolveDataFiles, resolveModelPath } from '../hub/index.js'
import {
  findTurnEnds,
  loadTokenizer,
  noteLines,
  openTokenCache,
  type TokenCacheProgress,
  type TokenDataset,
  type Tokenizer,
  truncationLines,
} from '../tokenize/index.js'
import { TokenizerSnapshot } from './tokenizer-snapshot.js'

/** Between two looks for a request to stop. */
const LOOK_MS = 100

/** Training data of a config, as a run reads it. The caller closes `train`. */
export interface TrainingData {
  readonly tokenizer: Tokenizer
  /** Its files as they were read. */
  readonly tokenizerFiles: TokenizerSnapshot
  readonly padId: number
  /** What is trained on. */
  readonly train: TokenDataset
  /** What `data.val_set_size` held out of the training data. */
  readonly validation?: TokenDataset
  readonly trainFiles: readonly ResolvedFile[]
  /** What a user should know of the training data: skipped records, files that may be incomplete, unread sources. */
  readonly warnings: readonly string[]
  /** Tokens at which an answer ends: eos and the ends of the chat template's turns. */
  readonly stopIds: readonly number[]
}

/** Who is told while data is opened. */
export interface OpeningReport {
  readonly onLine: (line: string) => void
  /** What is done of the tokenising, a few times a second. */
  readonly onTokenizing?: (progress: TokenCacheProgress) => void
  /** Called while data is fetched and tokenised; what it throws ends that. */
  readonly checkStop?: (() => void) | undefined
}

/**
 * Fetches, reads and tokenises the training data of a config, and takes out of it what `data.val_set_size` holds out. The
 * tokenizer is on the disk already: see `fetchModels`.
 * @throws {ConfigError} missing files, a tokenizer that changes, VAL_SET_TOO_LARGE. @throws {DataError} bad records, no data.
 */
export async function openTrainingData(
  config: RunConfig,
  baseDir: string,
  { onLine, onTokenizing, checkStop }: OpeningReport,
): Promise<TrainingData> {
  const { data, training } = config
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
  const trainFiles = await resolveDataFiles(dataSources(data.train), baseDir)
  const whole = await openTokenCache({
    files: trainFiles,
    tokenizer,
    maxLength: data.max_length,
    cacheDir: resolveCacheDir(config, baseDir),
    numWorkers: data.num_workers,
    maxBadRecords: data.max_bad_records,
    onProgress: (progress) => {
      checkStop?.()
      onTokenizing?.(progress)
    },
  })
  const turnEnds = whole.numChats > 0 ? await findTurnEnds(tokenizer) : undefined
  const { train, validation } = holdOut(whole, data.val_set_size, training.seed)
  return {
    tokenizer,
    tokenizerFiles,
    padId: tokenizer.padId ?? tokenizer.eosId,
    train,
    ...(validation === undefined ? {} : { validation }),
    trainFiles,
    stopIds: [tokenizer.eosId, ...(turnEnds?.ids ?? [])],
    warnings: [
      ...(turnEnds?.warnings ?? []),
      ...noteLines(train.notes),
      ...truncationLines(whole),
      ...mixingWarnings(planMixing(train, data.mixing)),
    ],
  }
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
