import { join } from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { type HubContent, isCommit, isComplete, shardsOf } from './hub-cache.js'
import { useCacheInstead } from './hub-errors.js'
import { formatHubId, type HubId } from './hub-id.js'
import { type DownloadReport, openHubRepo } from './hub-repo.js'
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
export interface FetchModelOptions extends DownloadReport {
  readonly content: HubContent
  /** Called with the folder once config.json is there; throws for a model whose weights are of no use. */
  readonly checkConfig?: ((folder: string) => void) | undefined
  /** Default `process.env`. */
  readonly env?: HubVariables | undefined
}

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
    useCacheInstead(cause, { id, path, settings, errorCode: answer.errorCode, isInCache: isThere, onLine })
    return folder!
  }
}

async function fetchSnapshot(
  settings: HubSettings,
  id: HubId,
  { content, onLine, checkStop, checkConfig }: FetchModelOptions,
  answer: { errorCode?: string | undefined },
): Promise<string> {
  const repo = await openHubRepo(settings, id, { onLine, checkStop }, answer)
  const { files, snapshot, commit } = repo
  if (!isComplete(snapshot, content))
    onLine(`fetching ${formatHubId(id)} (${commit.slice(0, 8)}) from ${settings.endpoint}`)
  const names = [...files.keys()].filter(isRead)
  const tokenizerFiles = [...TOKENIZER_FILES, ...names.filter((path) => path.includes('/'))]
  const isAdapter = content === 'adapter' || (!files.has(CONFIG_FILE) && files.has(ADAPTER_FILES[0]))
  if (content === 'model' && !isAdapter) {
    await repo.fetch([CONFIG_FILE])
    if (files.has(CONFIG_FILE)) checkConfig?.(snapshot)
    await repo.fetch([GENERATION_FILE, ...tokenizerFiles])
    if (!files.has(WEIGHTS_FILE)) await repo.fetch([INDEX_FILE])
    const weights = files.has(WEIGHTS_FILE)
      ? [WEIGHTS_FILE]
      : files.has(INDEX_FILE)
        ? shardsOf(join(snapshot, INDEX_FILE))
        : []
    if (!files.has(CONFIG_FILE) || weights.length === 0) throw noSafetensors(id, names)
    await repo.fetch(weights)
  } else {
    await repo.fetch([...(isAdapter ? [...ADAPTER_FILES, GENERATION_FILE] : []), ...tokenizerFiles])
  }
  repo.finish()
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
