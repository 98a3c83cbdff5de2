import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { ResourceError } from '../errors.js'

/** A file of a repository as the hub lists it. */
export interface HubFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Name of its blob: the SHA-256 of a large file, the Git hash (SHA-1) of a small one. */
  readonly etag: string
}

/** Where a file goes and who is told. */
export interface DownloadTarget {
  readonly blobs: string
  readonly snapshot: string
  /** Called with the bytes of each piece; what it throws ends the download, which can go on later. */
  readonly onBytes: (count: number) => void
}

/**
 * Puts a file into the cache: its bytes under blobs/, a link to them in the snapshot. What an earlier attempt left is
 * kept and only the rest is fetched; the hash of the whole decides.
 * @param open  The bytes from an offset on.
 * @throws {ResourceError} HUB_DAMAGED when the bytes are not those of the hash.
 */
export async function downloadFile(
  file: HubFile,
  { blobs, snapshot, onBytes }: DownloadTarget,
  open: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
): Promise<void> {
  const link = join(snapshot, file.path)
  if (existsSync(link)) {
    onBytes(file.size)
    return
  }
  makeFolder(blobs)
  makeFolder(dirname(link))
  const blob = join(blobs, file.etag)
  if (existsSync(blob)) onBytes(file.size)
  else await fetchBlob(file, blob, onBytes, open)
  // A link whose target was removed is in the way.
  rmSync(link, { force: true })
  symlinkSync(relative(dirname(link), blob), link)
}

async function fetchBlob(
  { path, size, etag }: HubFile,
  blob: string,
  onBytes: (count: number) => void,
  open: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
): Promise<void> {
  const incomplete = `${blob}.incomplete`
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  let offset = await hashExisting(incomplete, size, hash)
  onBytes(offset)
  const fd = openSync(incomplete, offset === 0 ? 'w' : 'a')
  try {
    if (offset < size) {
      for await (const piece of await open(offset)) {
        for (let at = 0; at < piece.length; ) at += writeSync(fd, piece, at)
        hash.update(piece)
        offset += piece.length
        onBytes(piece.length)
        if (offset > size) break
      }
    }
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  if (offset < size) throw new Error(`the connection ended after ${offset} of ${size} bytes of ${path}`)
  if (hash.digest('hex') !== etag) {
    rmSync(incomplete)
    throw new ResourceError(
      'HUB_DAMAGED',
      `${path}: what was fetched is not the file that the hub lists; it was removed, run the same command again`,
      { path },
    )
  }
  renameSync(incomplete, blob)
}

/** Feeds what an earlier attempt left to the hash; returns its bytes, 0 when there is nothing of use. */
async function hashExisting(path: string, size: number, hash: Hash): Promise<number> {
  if (!existsSync(path)) return 0
  const there = statSync(path).size
  if (there > size) return 0
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return there
}
