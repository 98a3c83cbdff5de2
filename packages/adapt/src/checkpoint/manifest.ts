import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { openRegular, readRegular } from '../dataset/regular-file.js'
import { writeFully } from '../dataset/write-fully.js'
import { type AdaptError, HostileFileError, ResourceError } from '../errors.js'

export const MANIFEST_NAME = 'manifest.json'

/** What a folder must hold to be whole. */
export interface Manifest {
  readonly schema_version: 1
  /** Completed optimiser steps. */
  readonly step: number
  /** Every other file of the folder, by name. */
  readonly files: Readonly<Record<string, FileDigest>>
}

/** Size and hash of a file. */
export interface FileDigest {
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

/** A manifest larger than this is not one of ours. */
const MAX_MANIFEST_BYTES = 1 << 20
const CHUNK_BYTES = 1 << 20

/** Writes the manifest of the files in a folder and waits until it is on the disk. It is the last file written. */
export function writeManifest(folder: string, step: number): void {
  const files: Record<string, FileDigest> = {}
  for (const name of filesUnder(folder)) files[name] = digestFile(join(folder, name))
  const manifest: Manifest = { schema_version: 1, step, files }
  const descriptor = openSync(join(folder, MANIFEST_NAME), 'wx')
  try {
    writeFully(descriptor, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Reads a folder's manifest and compares every file with it, byte for byte through SHA-256.
 * @throws {HostileFileError} CHECKPOINT_DAMAGED, naming the file and what is wrong with it.
 */
export function verifyManifest(folder: string): Manifest {
  const manifest = readManifest(folder)
  const present = filesUnder(folder).filter((name) => name !== MANIFEST_NAME)
  const extra = present.find((name) => !Object.hasOwn(manifest.files, name))
  if (extra !== undefined) throw damaged(folder, extra, 'it is not in manifest.json')
  for (const [name, expected] of Object.entries(manifest.files)) {
    if (!present.includes(name)) throw damaged(folder, name, 'it is missing')
    let found: FileDigest
    try {
      found = digestFile(join(folder, name))
    } catch (cause) {
      throw unreadable(folder, name, cause)
    }
    if (found.bytes !== expected.bytes) {
      throw damaged(folder, name, `expected ${expected.bytes} bytes, found ${found.bytes}`)
    }
    if (found.sha256 !== expected.sha256)
      throw damaged(folder, name, 'its SHA-256 differs from manifest.json')
  }
  return manifest
}

/** Everything in a folder and in folders of it that is no folder, as relative paths with `/`, in order. */
function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? filesUnder(join(folder, entry.name)).map((name) => `${entry.name}/${name}`)
        : [entry.name],
    )
    .sort()
}

function readManifest(folder: string): Manifest {
  let text: Buffer
  try {
    text = readRegular(join(folder, MANIFEST_NAME))
  } catch (cause) {
    throw unreadable(folder, MANIFEST_NAME, cause)
  }
  if (text.length > MAX_MANIFEST_BYTES) throw damaged(folder, MANIFEST_NAME, 'it is too large')
  try {
    const value = JSON.parse(text.toString('utf8')) as Partial<Manifest>
    if (value.schema_version === 1 && Number.isSafeInteger(value.step) && isFiles(value.files)) {
      return { schema_version: 1, step: value.step!, files: value.files }
    }
  } catch {
    // Said below.
  }
  throw damaged(folder, MANIFEST_NAME, 'it is no manifest')
}

function isFiles(value: unknown): value is Manifest['files'] {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(
    ([name, digest]: [string, Partial<FileDigest> | null]) =>
      name.split('/').every((part) => !['', '.', '..'].includes(part)) &&
      Number.isSafeInteger(digest?.bytes) &&
      /^[0-9a-f]{64}$/.test(digest?.sha256 ?? ''),
  )
}

function digestFile(path: string): FileDigest {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  const descriptor = openRegular(path)
  try {
    let bytes = 0
    for (let read = -1; read !== 0; bytes += read) {
      read = readSync(descriptor, chunk, 0, CHUNK_BYTES, null)
      hash.update(chunk.subarray(0, read))
    }
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    closeSync(descriptor)
  }
}

/** A file that cannot be read is damaged, unless it is this process that lacks something. */
function unreadable(folder: string, name: string, cause: unknown): AdaptError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') {
    const text = `checkpoint ${join(folder, name)}: cannot be read now (${message})`
    return new ResourceError('CHECKPOINT_READ', text, { folder, file: name }, { cause })
  }
  return damaged(folder, name, `it cannot be read (${message})`)
}

/** What is said of a file of a checkpoint that cannot be trusted. */
export function damaged(folder: string, name: string, problem: string): HostileFileError {
  return new HostileFileError('CHECKPOINT_DAMAGED', `checkpoint ${join(folder, name)}: ${problem}`, {
    folder,
    file: name,
  })
}
