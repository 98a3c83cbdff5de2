import { existsSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { printable } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { ConfigError, ResourceError } from '../errors.js'
import { downloadFile, type HubFile } from './download-file.js'
import { type HubContent, isCommit, isComplete, repoFolders, shardsOf } from './hub-cache.js'
import { describeHubError } from './hub-errors.js'
import { formatHubId, type HubId } from './hub-id.js'
import { type HubSettings, type HubVariables, hubSettings } from './hub-settings.js'
import {
  ADAPTER_FILES,
  CHAT_TEMPLATE_FOLDER,
  CONFIG_FILE,
  foreignWeights,
  GENERATION_FILE,
  INDEX_FILE,
  TOKENIZER_FILES,
  WEIGHTS_FILE,
} from './model-files.js'
import { findModelPlace, pinSnapshot } from './resolve-model-path.js'

/** What to fetch and who is told. */
export interface FetchModelOptions {
  readonly content: HubContent
  /** What is being fetched, now and then. */
  readonly onLine: (line: string) => void
  /** Called while bytes arrive; what it throws ends the download, which the next call goes on with. */
  readonly checkStop?: (() => void) | undefined
  /** Called with the folder once config.json is there; throws for a model whose weights are of no use. */
  readonly checkConfig?: ((folder: string) => void) | undefined
  /** Default `process.env`. */
  readonly env?: HubVariables | undefined
}

/** Least time between two lines of progress. */
const LINE_MS = 5000

/**
 * Makes sure that what a path or hub id names is on the disk, fetching it into the cache of Hugging Face's tools when
 * it is a hub id. Only files that are read are fetched, never pickled weights.
 * @returns The folder. For a path that is not there, that path.
 * @throws {ConfigError} HUB_NOT_FOUND, HUB_GATED, HUB_TOKEN, HUB_OFFLINE, MODEL_NOT_FOUND without safetensors.
 * @throws {ResourceError} HUB_UNREACHABLE, HUB_DAMAGED, DISK_FULL.
 */
export async function fetchModel(baseDir: string, text: string, options: FetchModelOptions): Promise<string> {
  const { content, onLine, env = process.env } = options
  const { hubId: id, path, folder, isPinned } = findModelPlace(baseDir, text, env)
  if (id === undefined) return path
  const settings = hubSettings(env)
  const isThere = folder !== undefined && isComplete(folder, content)
  // A commit never changes; a branch may have moved, but not within one comparison.
  if (isThere && (isPinned || settings.isOffline || isCommit(id.revision))) return folder
  const shown = formatHubId(id)
  if (settings.isOffline) {
    throw new ConfigError(
      'HUB_OFFLINE',
      `${shown}: no folder ${printable(path)}, and the model is not ${folder ? 'wholly ' : ''}in ${printable(settings.cacheDir)}; unset HF_HUB_OFFLINE to fetch it`,
    )
  }
  const answer: { errorCode?: string | undefined } = {}
  try {
    const snapshot = await fetchSnapshot(settings, id, options, answer)
    pinSnapshot(settings, id, snapshot)
    return snapshot
  } catch (cause) {
    const { endpoint, token } = settings
    const error = describeHubError(cause, {
      id,
      path,
      endpoint,
      hasToken: token !== undefined,
      errorCode: answer.errorCode,
    })
    if (!isThere || error.code !== 'HUB_UNREACHABLE') throw error
    onLine(`warning: ${endpoint} cannot be reached; ${shown} is taken from the cache, which may be older`)
    return folder
  }
}

async function fetchSnapshot(
  settings: HubSettings,
  id: HubId,
  { content, onLine, checkStop, checkConfig }: FetchModelOptions,
  answer: { errorCode?: string | undefined },
): Promise<string> {
  // Loaded when needed: it takes longer than `adapt --help`.
  const hub = await import('@huggingface/hub')
  const watched: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (!response.ok) answer.errorCode = response.headers.get('x-error-code') ?? undefined
    return response
  }
  const common = {
    hubUrl: settings.endpoint,
    fetch: watched,
    ...(settings.token === undefined ? {} : { accessToken: settings.token }),
  }
  const { sha } = await hub.modelInfo({ ...common, ...id, additionalFields: ['sha'] })
  if (typeof sha !== 'string' || !isCommit(sha)) throw new Error('it names no commit')
  const files = new Map<string, HubFile>()
  for await (const { type, path, size, oid, lfs } of hub.listFiles({
    ...common,
    repo: id.name,
    revision: sha,
  })) {
    const etag = lfs?.oid ?? oid ?? ''
    if (type !== 'file' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !isRead(path)) continue
    files.set(path, { path, size: lfs?.size ?? size, etag })
  }
  const { blobs, snapshots, ref } = repoFolders(settings, id)
  const snapshot = join(snapshots, sha)
  if (!isComplete(snapshot, content))
    onLine(`fetching ${formatHubId(id)} (${sha.slice(0, 8)}) from ${settings.endpoint}`)
  const progress = new Progress(formatHubId(id), onLine, checkStop)
  const get = async (names: readonly string[]): Promise<void> => {
    const wanted = names.flatMap((name) => files.get(name) ?? [])
    progress.expect(wanted)
    requireRoom(
      settings.cacheDir,
      wanted.filter(({ etag }) => !existsSync(join(blobs, etag))),
    )
    for (const file of wanted) {
      await downloadFile(
        file,
        { blobs, snapshot, onBytes: (count) => progress.add(count, file.path) },
        async (offset) => {
          const blob = await hub.downloadFile({ ...common, repo: id.name, revision: sha, path: file.path })
          if (!blob) throw new Error(`${file.path} is listed but not there`)
          return (offset > 0 ? blob.slice(offset) : blob).stream() as unknown as AsyncIterable<Uint8Array>
        },
      )
    }
  }
  const tokenizerFiles = [...TOKENIZER_FILES, ...[...files.keys()].filter((path) => path.includes('/'))]
  const isAdapter = content === 'adapter' || (!files.has(CONFIG_FILE) && files.has(ADAPTER_FILES[0]))
  if (content === 'model' && !isAdapter) {
    await get([CONFIG_FILE])
    if (files.has(CONFIG_FILE)) checkConfig?.(snapshot)
    await get([GENERATION_FILE, ...tokenizerFiles])
    if (!files.has(WEIGHTS_FILE)) await get([INDEX_FILE])
    const weights = files.has(WEIGHTS_FILE)
      ? [WEIGHTS_FILE]
      : files.has(INDEX_FILE)
        ? shardsOf(join(snapshot, INDEX_FILE))
        : []
    if (!files.has(CONFIG_FILE) || weights.length === 0) throw noSafetensors(id, [...files.keys()])
    await get(weights)
  } else {
    await get([...(isAdapter ? [...ADAPTER_FILES, GENERATION_FILE] : []), ...tokenizerFiles])
  }
  // Last, so that the name leads to an older whole snapshot until this one is whole.
  if (id.revision !== sha) {
    makeFolder(dirname(ref))
    writeFileSync(ref, sha)
  }
  return snapshot
}

/** Of files in folders only chat templates are of use. */
function isRead(path: string): boolean {
  const [folder, name, ...deeper] = path.split('/')
  if (name === undefined) return true
  return folder === CHAT_TEMPLATE_FOLDER && name.endsWith('.jinja') && deeper.length === 0
}

function noSafetensors({ name }: HubId, names: readonly string[]): ConfigError {
  const foreign = foreignWeights(names)
  const found =
    foreign === undefined ? 'it has no weights in the layout of transformers' : printable(foreign, 400)
  return new ConfigError('MODEL_NOT_FOUND', `${name}: expected config.json and model.safetensors; ${found}`)
}

/** @throws {ResourceError} DISK_FULL */
function requireRoom(cacheDir: string, files: readonly HubFile[]): void {
  makeFolder(cacheDir)
  const needed = files.reduce((sum, { size, etag }) => sum + (etag.length === 64 ? size : 0), 0)
  const { bavail, bsize } = statfsSync(cacheDir)
  if (bavail * bsize >= needed) return
  throw new ResourceError(
    'DISK_FULL',
    `${printable(cacheDir)} has ${gigabytes(bavail * bsize)} free, the model needs ${gigabytes(needed)}; make room or set HF_HUB_CACHE`,
  )
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`

/** Bytes that have arrived of those that are expected so far. */
class Progress {
  private done = 0
  private total = 0
  private lastLine = Date.now()

  constructor(
    private readonly shown: string,
    private readonly onLine: (line: string) => void,
    private readonly checkStop: (() => void) | undefined,
  ) {}

  expect(files: readonly HubFile[]): void {
    this.total += files.reduce((sum, { size }) => sum + size, 0)
  }

  add(count: number, file: string): void {
    this.done += count
    this.checkStop?.()
    if (Date.now() - this.lastLine < LINE_MS) return
    this.lastLine = Date.now()
    this.onLine(`fetching ${this.shown}: ${file}, ${gigabytes(this.done)} of ${gigabytes(this.total)}`)
  }
}
