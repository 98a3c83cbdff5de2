import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import {
  type DataSource,
  type FoundFile,
  knownFileKind,
  printable,
  type ResolvedFile,
  resolveSources,
} from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { cachedSnapshot, isCommit, repoFolders } from './hub-cache.js'
import { useCacheInstead } from './hub-errors.js'
import { formatHubId, type HubId } from './hub-id.js'
import { type DownloadReport, isSafePath, openHubRepo } from './hub-repo.js'
import { type HubSettings, type HubVariables, hubSettings } from './hub-settings.js'
import { findModelPlace, pinnedSnapshot, pinSnapshot } from './resolve-model-path.js'
import { selectDataFiles } from './select-data-files.js'

const README = 'README.md'

/**
 * Fetches what entries name on the hub, with `split` and `subset`, into the cache of Hugging Face's tools. Only files that
 * are read are fetched. Afterwards `resolveDataFiles` finds them. Paths are left alone.
 * @throws {ConfigError} HUB_NOT_FOUND, HUB_GATED, HUB_TOKEN, HUB_OFFLINE and what `selectDataFiles` throws.
 * @throws {ResourceError} HUB_UNREACHABLE, HUB_DAMAGED, DISK_FULL.
 */
export async function fetchDataSets(
  sources: readonly DataSource[],
  baseDir: string,
  { env = process.env, ...report }: DownloadReport & { readonly env?: HubVariables | undefined },
): Promise<void> {
  for (const source of sources) {
    const id = dataSetId(baseDir, source.path)
    if (id !== undefined)
      await fetchDataSet(source, id, resolve(baseDir, source.path), hubSettings(env), report)
  }
}

/**
 * The files of data entries: paths as `resolveSources` finds them, and data sets of the hub that were fetched before.
 * Asks no network.
 * @throws {ConfigError} HUB_NOT_FETCHED for a data set that is not in the cache, and what `resolveSources` throws.
 */
export function resolveDataFiles(
  sources: readonly DataSource[],
  baseDir: string,
  env: HubVariables = process.env,
): Promise<ResolvedFile[]> {
  return resolveSources(sources, baseDir, async (source) => {
    const id = dataSetId(baseDir, source.path)
    if (id === undefined) return undefined
    const files = cachedFiles(source, id, hubSettings(env))
    if (files !== undefined) return files
    throw new ConfigError(
      'HUB_NOT_FETCHED',
      `${printable(source.path)}: no such file or folder (looked from ${printable(baseDir)}), and no such data set in the cache ` +
        'yet: adapt data and adapt train fetch it',
      { path: source.path },
    )
  })
}

/** What nobody would name an organisation on a hub, but a folder of data; and endings of files. */
const DATA_FOLDERS =
  /^(?:data|datasets?|corpora|corpus|texts?|train|test|eval|heldout|anchors|examples?|files?|raw|shared)\//i
const FILE_ENDINGS =
  /\.(?:zip|tar|t?gz|zst|xz|bz2|7z|arrow|xlsx?|pkl|pt|bin|npy|md|html?|xml|ya?ml|py|db|sqlite)$/i

/** The data set that a path can only be: there is nothing under it, and its name is not that of a file. */
function dataSetId(baseDir: string, path: string): HubId | undefined {
  if (existsSync(resolve(baseDir, path)) || knownFileKind(path.split('@')[0]!) !== undefined) return undefined
  if ((DATA_FOLDERS.test(path) && !path.includes('@')) || FILE_ENDINGS.test(path)) return undefined
  const { hubId } = findModelPlace(baseDir, path)
  return hubId === undefined ? undefined : { ...hubId, kind: 'dataset' }
}

async function fetchDataSet(
  source: DataSource,
  id: HubId,
  path: string,
  settings: HubSettings,
  report: DownloadReport,
): Promise<void> {
  const { isThere, problem } = lookInCache(source, id, settings)
  const isPinned = pinnedSnapshot(settings, id) !== undefined
  if (isThere && (isPinned || settings.isOffline || isCommit(id.revision))) return
  const shown = formatHubId(id)
  if (settings.isOffline) {
    throw new ConfigError(
      'HUB_OFFLINE',
      `${shown}: no file or folder ${printable(path)}, and what is wanted of the data set is not in ${printable(settings.cacheDir)}${problem === undefined ? '' : ` (${problem})`}; unset HF_HUB_OFFLINE to fetch it`,
    )
  }
  const answer: { errorCode?: string | undefined } = {}
  try {
    // Entries of one data set see one commit, whatever its branch does meanwhile.
    const pinned = pinnedSnapshot(settings, id)
    const repo = await openHubRepo(
      settings,
      pinned === undefined ? id : { ...id, revision: basename(pinned) },
      report,
      answer,
    )
    await repo.fetch([README])
    const names = [...repo.files.keys()]
    const wanted = selectDataFiles(shown, names, readText(join(repo.snapshot, README)), source)
    if (!wanted.every((name) => existsSync(join(repo.snapshot, name))))
      report.onLine(`fetching ${shown} (${repo.commit.slice(0, 8)}) from ${settings.endpoint}`)
    await repo.fetch(wanted)
    keepListing(settings, id, repo.commit, names)
    repo.finish()
    pinSnapshot(settings, id, repo.snapshot)
  } catch (cause) {
    const { errorCode } = answer
    useCacheInstead(cause, { id, path, settings, errorCode, isInCache: isThere, onLine: report.onLine })
  }
}

/** Whether the cache has all that an entry wants, and why what it has does not fit. */
function lookInCache(
  source: DataSource,
  id: HubId,
  settings: HubSettings,
): { readonly isThere: boolean; readonly problem?: string } {
  try {
    return { isThere: cachedFiles(source, id, settings) !== undefined }
  } catch (error) {
    return { isThere: false, problem: (error as Error).message }
  }
}

/** The files of an entry in the cache, when all of them are there. */
function cachedFiles(source: DataSource, id: HubId, settings: HubSettings): readonly FoundFile[] | undefined {
  const snapshot = pinnedSnapshot(settings, id) ?? cachedSnapshot(settings, id)
  if (snapshot === undefined) return undefined
  const names = readListing(settings, id, basename(snapshot)) ?? listSnapshot(snapshot)
  const shown = formatHubId(id)
  const wanted = selectDataFiles(shown, names, readText(join(snapshot, README)), source)
  if (!wanted.every((name) => existsSync(join(snapshot, name))) || !isWhole(wanted)) return undefined
  const defaultSource = source.subset === undefined ? id.name : `${id.name}/${source.subset}`
  return wanted.map((name) => ({ path: join(snapshot, name), name: `${shown}/${name}`, defaultSource }))
}

/** Whether no file of `name-00000-of-00003` is missing: another tool may have fetched only some, and kept no list. */
function isWhole(names: readonly string[]): boolean {
  const counts = new Map<string, number>()
  for (const name of names) {
    const found = /^(.*)-\d{5}-of-(\d{5})/.exec(name)
    if (found) counts.set(`${found[1]} ${found[2]}`, (counts.get(`${found[1]} ${found[2]}`) ?? 0) + 1)
  }
  return [...counts].every(([key, count]) => Number(key.slice(-5)) === count)
}

/** A snapshot holds what was fetched, not what there is: which splits a data set has is kept beside it. */
const listingPath = (settings: HubSettings, id: HubId, commit: string) =>
  join(repoFolders(settings, id).root, '.adapt', `${commit}.json`)

function keepListing(settings: HubSettings, id: HubId, commit: string, names: readonly string[]): void {
  const path = listingPath(settings, id, commit)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(names))
  renameSync(`${path}.${process.pid}`, path)
}

function readListing(settings: HubSettings, id: HubId, commit: string): readonly string[] | undefined {
  try {
    const names = JSON.parse(readFileSync(listingPath(settings, id, commit), 'utf8')) as unknown
    const isList = Array.isArray(names) && names.every((name) => typeof name === 'string' && isSafePath(name))
    return isList ? (names as string[]) : undefined
  } catch {
    return undefined
  }
}

function listSnapshot(snapshot: string): string[] {
  return readdirSync(snapshot, { recursive: true, encoding: 'utf8' }).map((name) =>
    name.replaceAll('\\', '/'),
  )
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}
