import { createHash } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { openRegular, readRegular } from '../dataset/regular-file.js'
import { syncPath } from '../dataset/sync-path.js'
import { DataError } from '../errors.js'
import type { DatasetFacts } from './dataset-facts.js'
import { RECORD_BYTES } from './sample-records.js'
import type { SampleSink } from './sample-writer.js'
import { type ByteStore, StoredDataset } from './stored-dataset.js'
import type { TokenDataset } from './token-dataset.js'

const FILES = ['tokens.bin', 'ids.bin', 'records.bin'] as const
const BUFFER_BYTES = 1024 * 1024

interface CacheMeta {
  readonly key: string
  readonly facts: DatasetFacts
  readonly factsSha256: string
  readonly bytes: Readonly<Record<(typeof FILES)[number], number>>
  readonly recordsSha256: string
}

/** Writes the files of one cache folder; `finish` makes them durable. */
export function createCacheFiles(folder: string): SampleSink & {
  finish(key: string, facts: DatasetFacts): void
  abort(): void
} {
  const [tokens, ids, records] = FILES.map((name) => createAppender(path.join(folder, name)))
  const recordsHash = createHash('sha256')
  return {
    tokens: (part) => tokens!.append(part),
    ids: (part) => ids!.append(part),
    records(part) {
      recordsHash.update(part)
      records!.append(part)
    },
    finish(key, facts) {
      const [numTokenBytes, numIdBytes, numRecordBytes] = [tokens!.finish(), ids!.finish(), records!.finish()]
      const meta: CacheMeta = {
        key,
        facts,
        factsSha256: hashOf(facts),
        bytes: { 'tokens.bin': numTokenBytes, 'ids.bin': numIdBytes, 'records.bin': numRecordBytes },
        recordsSha256: recordsHash.digest('hex'),
      }
      writeFileSync(path.join(folder, 'meta.json'), `${JSON.stringify(meta, null, 1)}\n`, { flush: true })
      syncPath(folder)
    },
    abort() {
      for (const file of [tokens, ids, records]) {
        file!.abort()
      }
    },
  }
}

/**
 * Opens a cache folder, or undefined when it is absent, incomplete or damaged. Only records are held in memory.
 * @throws the file system's error when the folder is there and cannot be read.
 */
export function openCacheFiles(
  folder: string,
  key: string,
  weights?: ReadonlyMap<string, number>,
): TokenDataset | undefined {
  const stores: ByteStore[] = []
  try {
    const meta = JSON.parse(readRegular(path.join(folder, 'meta.json')).toString('utf8')) as CacheMeta
    const records = readWhole(path.join(folder, 'records.bin'))
    const isWhole =
      meta.key === key &&
      meta.factsSha256 === hashOf(meta.facts) &&
      records.length === meta.bytes['records.bin'] &&
      records.length === meta.facts.numSamples * RECORD_BYTES &&
      createHash('sha256').update(records).digest('hex') === meta.recordsSha256
    if (!isWhole) {
      return undefined
    }
    for (const name of ['tokens.bin', 'ids.bin'] as const) {
      const store = openStore(path.join(folder, name), meta.bytes[name])
      if (store === undefined) {
        for (const open of stores) {
          open.close()
        }
        return undefined
      }
      stores.push(store)
    }
    const [tokens, ids] = stores
    const bytes = { records: records.buffer, tokens: tokens!, ids: ids! }
    return new StoredDataset(meta.facts, key, bytes, weights)
  } catch (error) {
    for (const open of stores) {
      open.close()
    }
    if (error instanceof SyntaxError || error instanceof TypeError || isAbsent(error)) {
      return undefined
    }
    throw error
  }
}

/** Key by key as they were written; JSON gives the same text again. */
function hashOf(facts: DatasetFacts): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex')
}

function createAppender(file: string) {
  const handle = openSync(file, 'wx')
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let numBuffered = 0
  let numBytes = 0
  let isOpen = true
  const writeAll = (part: Uint8Array): void => {
    for (let at = 0; at < part.length; ) {
      at += writeSync(handle, part, at, part.length - at)
    }
  }
  const flush = (): void => {
    writeAll(buffer.subarray(0, numBuffered))
    numBuffered = 0
  }
  const abort = (): void => {
    if (isOpen) {
      isOpen = false
      closeSync(handle)
    }
  }
  return {
    append(part: Uint8Array): void {
      numBytes += part.length
      if (numBuffered + part.length > BUFFER_BYTES) {
        flush()
      }
      if (part.length > BUFFER_BYTES) {
        writeAll(part)
      } else {
        buffer.set(part, numBuffered)
        numBuffered += part.length
      }
    },
    finish(): number {
      flush()
      fsyncSync(handle)
      abort()
      return numBytes
    },
    abort,
  }
}

/** A file in a buffer of its own: a record a sample is too much to hold twice. */
function readWhole(file: string): Uint8Array<ArrayBuffer> {
  const handle = openRegular(file)
  try {
    const bytes = new Uint8Array(fstatSync(handle).size)
    for (let at = 0; at < bytes.length; ) {
      const numRead = readSync(handle, bytes, at, bytes.length - at, at)
      if (numRead === 0) return bytes.slice(0, at)
      at += numRead
    }
    return bytes
  } finally {
    closeSync(handle)
  }
}

function openStore(file: string, numBytes: number): ByteStore | undefined {
  const handle = openRegular(file)
  if (fstatSync(handle).size !== numBytes) {
    closeSync(handle)
    return undefined
  }
  let isOpen = true
  return {
    name: file,
    // Read, not mapped: a mapped file that someone shortens would kill the process.
    read(offset, length) {
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; ) {
        const numRead = readSync(handle, bytes, at, length - at, offset + at)
        if (numRead === 0) {
          const what = `${path.basename(file)} of the token cache became shorter while it was in use`
          throw new DataError('CACHE_DAMAGED', `${what}; delete the cache and start again`, { file })
        }
        at += numRead
      }
      return bytes
    },
    close() {
      if (isOpen) {
        isOpen = false
        closeSync(handle)
      }
    },
  }
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
