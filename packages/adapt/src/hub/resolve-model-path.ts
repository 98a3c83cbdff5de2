import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { cachedSnapshot } from './hub-cache.js'
import { type HubId, parseHubId } from './hub-id.js'
import { type HubSettings, type HubVariables, hubSettings } from './hub-settings.js'

/** What a `model.path`, `tokenizer` or `--model` names. */
export interface ModelPlace {
  /** The folder: of the path, or of the cached snapshot. Absolute; undefined for a hub id that is not in the cache. */
  readonly folder: string | undefined
  /** Where the text leads as a path. Absolute. */
  readonly path: string
  /** The hub id, when there is no such path and the text can be one. */
  readonly hubId: HubId | undefined
  /** Whether this process has asked the hub already. */
  readonly isPinned: boolean
}

const pinned = new Map<string, string>()
const pinKey = ({ cacheDir, endpoint }: HubSettings, { name, revision, kind = 'model' }: HubId) =>
  JSON.stringify([cacheDir, endpoint, kind, name, revision])

/** Holds an id to one snapshot for as long as this process runs, whatever its branch does meanwhile. */
export function pinSnapshot(settings: HubSettings, id: HubId, folder: string): void {
  pinned.set(pinKey(settings, id), folder)
}

/** The snapshot that an id is held to. */
export function pinnedSnapshot(settings: HubSettings, id: HubId): string | undefined {
  return pinned.get(pinKey(settings, id))
}

/**
 * A path that exists wins; else `org/name` is a hub id. `./a/b` and absolute paths are never hub ids, and neither is
 * what is a mistyped path: `org` is a folder here, or a name that runs are kept under. `org/name@main` is one always.
 * Asks no network.
 */
export function findModelPlace(baseDir: string, text: string, env: HubVariables = process.env): ModelPlace {
  const path = resolve(baseDir, text)
  const hubId = existsSync(path) || isMistypedPath(baseDir, text) ? undefined : parseHubId(text)
  if (hubId === undefined) return { folder: path, path, hubId, isPinned: false }
  const settings = hubSettings(env)
  const pin = pinned.get(pinKey(settings, hubId))
  return { folder: pin ?? cachedSnapshot(settings, hubId), path, hubId, isPinned: pin !== undefined }
}

/** What nobody would name an organisation on a hub. */
const OUTPUT_FOLDERS = /^(?:runs?|outputs?|out|results?|checkpoints?|models?|tmp)$/i
/** What stands in a run folder. */
const RUN_PARTS = /^(?:checkpoints|(?:step|checkpoint)-\d+)$/i

function isMistypedPath(baseDir: string, text: string): boolean {
  const parts = text.split('/')
  if (parts.length !== 2 || text.includes('@')) return false
  const [first, second] = parts as [string, string]
  return OUTPUT_FOLDERS.test(first) || RUN_PARTS.test(second) || existsSync(resolve(baseDir, first))
}

/** The folder of a path or of a hub id that was fetched before; a path of no folder when there is neither. */
export function resolveModelPath(baseDir: string, text: string): string {
  const { folder, path } = findModelPlace(baseDir, text)
  return folder ?? path
}
