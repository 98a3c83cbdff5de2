import { existsSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { printable } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { ResourceError } from '../errors.js'
import { downloadFile, type HubFile } from './download-file.js'
import { isCommit, repoFolders } from './hub-cache.js'
import { formatHubId, type HubId } from './hub-id.js'
import type { HubSettings } from './hub-settings.js'

/** Who is told of a download. */
export interface DownloadReport {
  /** What is being fetched, now and then. */
  readonly onLine: (line: string) => void
  /** Called while bytes arrive; what it throws ends the download, which the next call goes on with. */
  readonly checkStop?: (() => void) | undefined
}

/** A repository as it stands at one commit. */
export interface HubRepo {
  readonly commit: string
  /** Folder of this commit in the cache. */
  readonly snapshot: string
  /** All files by path. */
  readonly files: ReadonlyMap<string, HubFile>
  /** Puts files into the snapshot; names that are not there are passed over. */
  fetch(names: readonly string[]): Promise<void>
  /** Lets the name of the revision lead to this commit: last, so that it leads to an older whole snapshot until then. */
  finish(): void
}

/** Least time between two lines of progress. */
const LINE_MS = 5000

/**
 * Asks the hub for the commit of a revision and its files.
 * @param answer  Gets the error code of the last answer that was one.
 * @throws what the client of the hub throws; see `describeHubError`.
 */
export async function openHubRepo(
  settings: HubSettings,
  id: HubId,
  { onLine, checkStop }: DownloadReport,
  answer: { errorCode?: string | undefined },
): Promise<HubRepo> {
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
  const { name, revision, kind } = id
  const isDataset = kind === 'dataset'
  const about = { ...common, name, revision, additionalFields: ['sha'] as const }
  const { sha } = isDataset
    ? await hub.datasetInfo({ ...about, additionalFields: ['sha'] })
    : await hub.modelInfo({ ...about, additionalFields: ['sha'] })
  if (typeof sha !== 'string' || !isCommit(sha)) throw new Error('it names no commit')
  const repo = { type: kind ?? ('model' as const), name }
  const files = new Map<string, HubFile>()
  for await (const { type, path, size, oid, lfs } of hub.listFiles({
    ...common,
    repo,
    revision: sha,
    recursive: true,
  })) {
    const etag = lfs?.oid ?? oid ?? ''
    if (type !== 'file' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !isSafePath(path)) continue
    files.set(path, { path, size: lfs?.size ?? size, etag })
  }
  const { blobs, snapshots, ref } = repoFolders(settings, id)
  const snapshot = join(snapshots, sha)
  const progress = new Progress(formatHubId(id), onLine, checkStop)
  return {
    commit: sha,
    snapshot,
    files,
    async fetch(names) {
      const wanted = names.flatMap((path) => files.get(path) ?? [])
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
            const blob = await hub.downloadFile({ ...common, repo, revision: sha, path: file.path })
            if (!blob) throw new Error(`${file.path} is listed but not there`)
            return (offset > 0 ? blob.slice(offset) : blob).stream() as unknown as AsyncIterable<Uint8Array>
          },
        )
      }
    },
    finish() {
      if (revision === sha) return
      makeFolder(dirname(ref))
      writeFileSync(ref, sha)
    },
  }
}

/** Whether a path of a listing stays in the folder that it is put into. */
export function isSafePath(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\\0]/.test(part))
}

/** @throws {ResourceError} DISK_FULL */
function requireRoom(cacheDir: string, files: readonly HubFile[]): void {
  makeFolder(cacheDir)
  const needed = files.reduce((sum, { size, etag }) => sum + (etag.length === 64 ? size : 0), 0)
  const { bavail, bsize } = statfsSync(cacheDir)
  if (bavail * bsize >= needed) return
  throw new ResourceError(
    'DISK_FULL',
    `${printable(cacheDir)} has ${gigabytes(bavail * bsize)} free, what is fetched needs ${gigabytes(needed)}; make room or set HF_HUB_CACHE`,
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
