import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readRegular } from '../dataset/regular-file.js'
import type { HubId } from './hub-id.js'
import type { HubSettings } from './hub-settings.js'
import { ADAPTER_FILES, CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE } from './model-files.js'

/** What is wanted of a repository. */
export type HubContent = 'model' | 'tokenizer' | 'adapter'

const COMMIT = /^[0-9a-f]{40}$/

/** Whether a text is the full hash of a commit. */
export const isCommit = (text: string): boolean => COMMIT.test(text)

/** The folders of one repository in the cache, laid out as Python's huggingface_hub does. */
export function repoFolders({ cacheDir }: HubSettings, { name, revision, kind = 'model' }: HubId) {
  const root = join(cacheDir, `${kind}s--${name.replace('/', '--')}`)
  return {
    root,
    blobs: join(root, 'blobs'),
    snapshots: join(root, 'snapshots'),
    ref: join(root, 'refs', revision),
  }
}

/** The folder of the snapshot that the cache has under this id, whole or not; undefined when there is none. */
export function cachedSnapshot(settings: HubSettings, id: HubId): string | undefined {
  const { snapshots, ref } = repoFolders(settings, id)
  let commit = id.revision
  if (!isCommit(commit)) {
    try {
      commit = readRegular(ref).toString('utf8').trim()
    } catch {
      return undefined
    }
    if (!isCommit(commit)) return undefined
  }
  const folder = join(snapshots, commit)
  return existsSync(folder) ? folder : undefined
}

/** Whether a snapshot has all that is needed; links whose target is gone count as missing. */
export function isComplete(snapshot: string, content: HubContent): boolean {
  const has = (name: string) => existsSync(join(snapshot, name))
  if (content === 'tokenizer') return has('tokenizer.json')
  // What is named as a model may be an adapter, which names its model.
  if (content === 'adapter' || !has(CONFIG_FILE)) return ADAPTER_FILES.every(has)
  if (has(WEIGHTS_FILE)) return true
  try {
    return has(INDEX_FILE) && shardsOf(join(snapshot, INDEX_FILE)).every(has)
  } catch {
    return false
  }
}

/**
 * The shards that an index names; names that could lead out of the folder are left out and found missing when the
 * model is loaded.
 */
export function shardsOf(indexPath: string): string[] {
  const index = JSON.parse(readRegular(indexPath).toString('utf8')) as {
    readonly weight_map?: unknown
  } | null
  const map = index?.weight_map
  if (map === null || typeof map !== 'object') return []
  return [...new Set(Object.values(map as Record<string, unknown>))].filter(
    (name): name is string =>
      typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$/.test(name),
  )
}
