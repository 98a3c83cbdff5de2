import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fingerprintFiles, printable, type ResolvedFile, readDocuments } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { syncPath } from '../dataset/sync-path.js'
import { AdaptError, ConfigError, DataError, ResourceError } from '../errors.js'
import { createCacheFiles, openCacheFiles } from './cache-files.js'
import { NoteTaker } from './data-notes.js'
import { createDocumentEncoder } from './document-encoder.js'
import { encodeInOrder } from './encode-in-order.js'
import { assertMaxLength, SampleWriter } from './sample-writer.js'
import type { TokenDataset } from './token-dataset.js'
import type { Tokenizer } from './tokenizer.js'

// Raise it whenever samples or files come out differently for the same input.
const FORMAT = 7
const THREADS_FROM_BYTES = 2 * 1024 * 1024

/** How far the building of a cache is. */
export interface TokenCacheProgress {
  readonly numDocuments: number
  readonly numTokens: number
  /** Where the latest document starts in its (unpacked) file. */
  readonly byteOffset: number
  /** Name of the file being read, and which of how many. */
  readonly file: string
  readonly fileNumber: number
  readonly numFiles: number
}

/** What is tokenised, how, and where the cache lies. */
export interface TokenCacheOptions {
  readonly files: readonly ResolvedFile[]
  readonly tokenizer: Tokenizer
  /** Most tokens of a sample, >= 2. */
  readonly maxLength: number
  /** Folder of all caches; made when absent. */
  readonly cacheDir: string
  /** Tokenising threads; 0 works in this thread. Default: by size of the data and processors. No effect on the result. */
  readonly numWorkers?: number
  /** Bad records that are skipped; see `readDocuments`. Default 0. */
  readonly maxBadRecords?: number
  /** Called about every 256 documents while the cache is built. */
  readonly onProgress?: (progress: TokenCacheProgress) => void
}

/**
 * Opens the token cache of the files, building it when there is none. The key is a hash of the bytes of the files,
 * the tokenizer, the options and the format, so a cache is never stale; `fingerprint` is that key. A cache is
 * built in a folder of its own and renamed when it is complete and durable: a killed process leaves none behind
 * that could be taken for whole. Memory does not grow with the corpus but for 64 bytes a sample.
 *
 * @throws {DataError} what `readDocuments` throws; ZERO_TRAINED_TOKENS when no sample has a label; FILE_CHANGED
 *   when a file changed while it was read.
 * Weights of data entries are applied when samples are read: they change neither key nor cache.
 *
 * @throws {ConfigError} OUT_OF_RANGE for `maxLength` < 2; AMBIGUOUS_WEIGHT for a file in entries of different weights. @throws {ResourceError} CACHE_WRITE_FAILED.
 */
export async function openTokenCache(options: TokenCacheOptions): Promise<TokenDataset> {
  const { files, cacheDir } = options
  assertMaxLength(options.maxLength)
  const weights = weightsByFile(files)
  const before = stampsOf(files)
  const key = await cacheKey(options)
  const folder = path.join(cacheDir, key)
  const existing = openCacheFiles(folder, key, weights)
  if (existing !== undefined) {
    return await requireLabels(existing, options.tokenizer)
  }
  const temporary = `${folder}.tmp-${os.hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  makeCacheFolder(temporary, cacheDir)
  try {
    removeLeftovers(cacheDir)
    await buildCache(options, temporary, key)
    if (stampsOf(files) !== before) {
      throw new DataError(
        'FILE_CHANGED',
        'a data file changed while it was read; start again when it is complete',
      )
    }
    publish(temporary, folder, key)
  } catch (error) {
    throw asWriteError(error, cacheDir)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
  const built = openCacheFiles(folder, key, weights)
  if (built === undefined) {
    throw new ResourceError('CACHE_WRITE_FAILED', `${printable(folder)}: the token cache cannot be read back`)
  }
  return await requireLabels(built, options.tokenizer)
}

/**
 * The token cache of the files when there is one; builds nothing. Reads the files for their hash.
 * @throws {ConfigError} AMBIGUOUS_WEIGHT
 */
export async function findTokenCache(options: TokenCacheOptions): Promise<TokenDataset | undefined> {
  const key = await cacheKey(options)
  return openCacheFiles(path.join(options.cacheDir, key), key, weightsByFile(options.files))
}

/** Weights of data entries by file name. A sample knows its file, not its entry. */
function weightsByFile(files: readonly ResolvedFile[]): ReadonlyMap<string, number> {
  const weights = new Map<string, number>()
  for (const { name, weight = 1 } of files) {
    const known = weights.get(name) ?? weight
    if (known !== weight) {
      throw new ConfigError(
        'AMBIGUOUS_WEIGHT',
        `${printable(name)}: belongs to data entries of weights ${known} and ${weight}; give it one weight`,
      )
    }
    weights.set(name, weight)
  }
  return weights
}

function makeCacheFolder(folder: string, cacheDir: string): void {
  try {
    makeFolder(folder)
  } catch (error) {
    throw asWriteError(error, cacheDir)
  }
}

/** @throws {DataError} ZERO_TRAINED_TOKENS, with the start of a conversation as the model would see it. */
async function requireLabels(dataset: TokenDataset, tokenizer: Tokenizer): Promise<TokenDataset> {
  if (dataset.numLabels > 0) return dataset
  const { numSamples, numTruncated, numChats } = dataset
  const start = numChats > 0 ? await tokenizer.decode(dataset.sample(0).tokens.subarray(0, 100)) : ''
  dataset.close()
  const counted = `none of ${numSamples} samples has a label (${numTruncated} were truncated)`
  const advice =
    numChats === 0
      ? 'are the prompts longer than max_length?'
      : `${tokenizer.chat.template?.where} marks no message of the assistant within max_length, or the records leave all out; the first conversation ` +
        `begins "${printable(start, 300)}"`
  throw new DataError('ZERO_TRAINED_TOKENS', `expected tokens to train on, ${counted}: ${advice}`)
}

async function cacheKey(options: TokenCacheOptions): Promise<string> {
  const parts = {
    format: FORMAT,
    byteOrder: os.endianness(),
    content: await fingerprintFiles(options.files),
    // `entry` counts only through `limit`, which is shared by the files of an entry.
    files: options.files.map(({ name, entry, source, defaultSource, limit, textField, columns }) => [
      name,
      limit === undefined ? null : entry,
      source ?? null,
      limit ?? null,
      textField ?? null,
      columns ?? null,
      defaultSource ?? null,
    ]),
    tokenizer: options.tokenizer.hash,
    chat: options.tokenizer.chat.hash,
    maxLength: options.maxLength,
    maxBadRecords: options.maxBadRecords ?? 0,
  }
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

async function buildCache(options: TokenCacheOptions, folder: string, key: string): Promise<void> {
  const { files, tokenizer, onProgress } = options
  const numWorkers = options.numWorkers ?? defaultWorkers(files)
  const out = createCacheFiles(folder)
  const encoder = createDocumentEncoder(tokenizer, numWorkers)
  try {
    const writer = new SampleWriter(options.maxLength, out)
    const fileNumbers = new Map(files.map((f, i) => [f.name, i + 1]))
    const notes = new NoteTaker()
    const { maxBadRecords = 0 } = options
    const counts = { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
    const documents = readDocuments(files, {
      maxBadRecords,
      counts,
      onBadRecord: (file, error) => notes.badRecord(file, error),
      onUnverified: (file) => notes.unverified(file),
    })
    let numDocuments = 0
    await encodeInOrder(documents, {
      encode: encoder.encode,
      maxPending: encoder.maxPending,
      onDocument(document, tokens, held) {
        writer.add(document, tokens)
        notes.document(document, held)
        numDocuments += 1
        if (onProgress !== undefined && numDocuments % 256 === 0) {
          const fileNumber = fileNumbers.get(document.path)!
          const { path: file, byteOffset } = document
          const { numTokens } = writer
          onProgress({ numDocuments, numTokens, byteOffset, file, fileNumber, numFiles: files.length })
        }
      },
      // One budget for records that cannot be read and chats that cannot be rendered.
      onRefused(document, error) {
        if (counts.numBadRecords >= maxBadRecords) throw error
        counts.numBadRecords += 1
        notes.badRecord(document.path, error)
      },
    })
    out.finish(key, { ...writer.facts(tokenizer.vocabSize), notes: notes.notes() })
  } finally {
    out.abort()
    await encoder.close()
  }
}

/** Puts a complete cache in its place; when another process was faster, its equal one stays. */
function publish(temporary: string, folder: string, key: string): void {
  try {
    renameSync(temporary, folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') {
      throw error
    }
    const other = openCacheFiles(folder, key)
    if (other !== undefined) {
      other.close()
      return
    }
    // What is there is damaged: it goes first, since a folder cannot be renamed over another.
    rmSync(folder, { recursive: true, force: true })
    renameSync(temporary, folder)
  }
  syncPath(path.dirname(folder))
}

/** Removes what processes of this machine that are gone began. */
function removeLeftovers(cacheDir: string): void {
  for (const name of readdirSync(cacheDir)) {
    const found = /^[0-9a-f]{64}\.tmp-(.+)-(\d+)-[0-9a-f]{8}$/.exec(name)
    if (found?.[1] === os.hostname() && !isAlive(Number(found[2]))) {
      rmSync(path.join(cacheDir, name), { recursive: true, force: true })
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function stampsOf(files: readonly ResolvedFile[]): string {
  const stamps = files.map((f) => {
    const found = statSync(f.path, { bigint: true, throwIfNoEntry: false })
    return found === undefined ? 'absent' : `${found.size} ${found.mtimeNs} ${found.ino}`
  })
  return stamps.join('\n')
}

function defaultWorkers(files: readonly ResolvedFile[]): number {
  const numBytes = files.reduce((sum, f) => sum + (statSync(f.path, { throwIfNoEntry: false })?.size ?? 0), 0)
  return numBytes < THREADS_FROM_BYTES ? 0 : Math.max(1, Math.min(4, os.availableParallelism() - 1))
}

function asWriteError(error: unknown, cacheDir: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof AdaptError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) {
    return error
  }
  const said = printable(message)
  const text = `${printable(cacheDir)}: the token cache cannot be written: ${said}`
  return new ResourceError('CACHE_WRITE_FAILED', text, { cacheDir, code }, { cause: error })
}
