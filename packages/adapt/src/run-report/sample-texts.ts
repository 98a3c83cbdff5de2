import { join } from 'node:path'
import { holdOut } from '../batch/index.js'
import { chatOptions, dataSources, type RunConfig, resolveCacheDir } from '../config/index.js'
import { type Document, readDocuments } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { resolveDataFiles, resolveModelPath } from '../hub/index.js'
import {
  loadTokenizer,
  openCacheFiles,
  type TokenDataset,
  type TokenizedSample,
  type Tokenizer,
  tokenizeDocuments,
} from '../tokenize/index.js'

/** A sample as `samples.parquet` describes it. */
export interface WantedSample {
  readonly id: string
  readonly path: string
  readonly line: number
  /** Length in tokens. */
  readonly tokens: number
}

export interface SampleTexts {
  /** By dense index. */
  readonly texts: ReadonlyMap<number, string>
  /** Why the others have none. */
  readonly missing: string
}

/**
 * The texts of a few samples as the model saw them. They come from the token cache, whose name is the hash of what
 * was trained on, so it cannot hold another text. Without it they come from the data files, read to the last
 * wanted line; a record that no longer gives the sample's id and length counts as changed.
 *
 * Never throws for data, tokenizer or cache that are gone: a report is of use without texts.
 */
export async function findSampleTexts(
  wanted: ReadonlyMap<number, WantedSample>,
  config: RunConfig,
  baseDir: string,
  fingerprint: string,
): Promise<SampleTexts> {
  const texts = new Map<number, string>()
  try {
    const tokenizer = loadTokenizer(resolveModelPath(baseDir, config.tokenizer), chatOptions(config, baseDir))
    const read = async (index: number, sample: TokenizedSample): Promise<void> => {
      const expected = wanted.get(index)!
      if (sample.id !== expected.id || sample.tokens.length !== expected.tokens) return
      texts.set(index, await tokenizer.decode(sample.tokens, { skipSpecialTokens: true }))
    }
    const cache = openCacheFiles(join(resolveCacheDir(config, baseDir), fingerprint), fingerprint)
    if (cache === undefined) {
      await readFromData(wanted, config, baseDir, tokenizer, read)
    } else {
      const { train } = holdOut(cache, config.data.val_set_size, config.training.seed)
      await readFromCache(train, wanted, read)
    }
    return { texts, missing: 'The data has changed since the run: this sample is no longer there.' }
  } catch (error) {
    if (!(error instanceof AdaptError) && !isSystemError(error)) throw error
    return { texts, missing: `The text cannot be read: ${(error as Error).message}` }
  }
}

type ReadSample = (index: number, sample: TokenizedSample) => Promise<void>

async function readFromCache(
  cache: TokenDataset,
  wanted: ReadonlyMap<number, WantedSample>,
  read: ReadSample,
): Promise<void> {
  try {
    for (const [index, place] of placesIn(cache, wanted)) await read(index, cache.sample(place))
  } finally {
    cache.close()
  }
}

/** Where in the cache samples of a run are: further on, where its method left samples out. By the indexes of the run. */
function placesIn(cache: TokenDataset, wanted: ReadonlyMap<number, WantedSample>): Map<number, number> {
  const isAt = (place: number, { id, path, line }: WantedSample) => {
    const origin = cache.origin(place)
    return origin.id === id && origin.path === path && origin.line === line
  }
  const places = new Map<number, number>()
  let place = 0
  for (const [index, sample] of [...wanted].sort(([a], [b]) => a - b)) {
    // What is kept stands in the order of the whole.
    let found = Math.max(place, index)
    while (found < cache.numSamples && !isAt(found, sample)) found++
    if (found === cache.numSamples) continue
    places.set(index, found)
    place = found + 1
  }
  return places
}

async function readFromData(
  wanted: ReadonlyMap<number, WantedSample>,
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  read: ReadSample,
): Promise<void> {
  const byPlace = new Map<string, number[]>()
  for (const [index, { path, line }] of wanted) {
    const place = `${path}:${line}`
    byPlace.set(place, [...(byPlace.get(place) ?? []), index])
  }
  const names = new Set([...wanted.values()].map(({ path }) => path))
  const files = (await resolveDataFiles(dataSources(config.data.train), baseDir)).filter(({ name }) =>
    names.has(name),
  )
  if (files.length === 0) return
  // Bad records were a matter for the run; here they are none of the wanted ones.
  const documents = readDocuments(files, { maxBadRecords: Number.MAX_SAFE_INTEGER })
  for await (const document of documents) {
    const place = `${document.path}:${document.line}`
    const indices = byPlace.get(place)
    if (indices === undefined) continue
    byPlace.delete(place)
    await readPieces(document, indices, config, tokenizer, wanted, read)
    if (byPlace.size === 0) return
  }
}

async function readPieces(
  document: Document,
  indices: readonly number[],
  config: RunConfig,
  tokenizer: Tokenizer,
  wanted: ReadonlyMap<number, WantedSample>,
  read: ReadSample,
): Promise<void> {
  const pieces = await tokenizeDocuments([document], tokenizer, config.data.max_length)
  for (let i = 0; i < pieces.numSamples; i++) {
    const piece = pieces.sample(i)
    for (const index of indices) if (wanted.get(index)!.id === piece.id) await read(index, piece)
  }
}

function isSystemError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException).code === 'string'
}
