import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AdaptError, ConfigError, DataError, HostileFileError, ResourceError } from '../errors.js'
import { printable } from './printable.js'
import { unzstd } from './read-zstd.js'

const CHUNK_BYTES = 256 * 1024
const BOMB_FREE_BYTES = 64 * 1024 * 1024
const BOMB_RATIO = 1000

/** How the bytes of a file are packed. */
export type Packing = 'none' | 'gzip' | 'zstd'

/** What to open: `name` is used in errors. */
export interface ByteSource {
  readonly path: string
  readonly name: string
  readonly packing: Packing
  /** Called at the end of a gzip file of several members, or a Zstandard file of several frames. */
  readonly onSeveralMembers?: () => void
}

/**
 * Streams the (uncompressed) bytes of a file in chunks, in constant memory. Several gzip members or Zstandard frames
 * after one another are one file. A file cut exactly between two members cannot be told from a whole one, so `onSeveralMembers`
 * says that there are some (empty ones apart, and gzip members that hold a multiple of 4 GiB together).
 *
 * @throws {DataError} GZIP_DAMAGED or ZSTD_DAMAGED for a truncated file, a wrong checksum or bytes after the last member.
 * @throws {HostileFileError} GZIP_BOMB or ZSTD_BOMB past 64 MiB when the output is more than 1000 times the input.
 * @throws {ConfigError} FILE_NOT_FOUND. @throws {ResourceError} READ_FAILED for an I/O error.
 */
export async function* readBytes(source: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  try {
    if (source.packing === 'gzip') {
      yield* readGzip(source)
    } else if (source.packing === 'zstd') {
      yield* readZstd(source)
    } else {
      yield* createReadStream(source.path, { highWaterMark: CHUNK_BYTES })
    }
  } catch (error) {
    throw asReadError(error, source.name)
  }
}

async function* readGzip(source: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  const { path, name } = source
  const { size, lastLength } = await readTrailer(path)
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  // The callback form hands an error of either stream to whoever iterates `gunzip`, and closes both.
  pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), gunzip, () => {})
  let numBytes = 0
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    numBytes += chunk.length
    refuseBomb('GZIP_BOMB', name, gunzip.bytesWritten, numBytes)
    yield chunk
  }
  // zlib stops without a word at a zero byte after a member.
  if (gunzip.bytesWritten !== size) {
    throw new DataError(
      'GZIP_DAMAGED',
      `${printable(name)}: ${size - gunzip.bytesWritten} bytes after the end of the gzip data ` +
        `(at compressed byte ${gunzip.bytesWritten}); fetch or pack the file again`,
      { file: name },
    )
  }
  // The last member's length is not that of the whole: there are others before it.
  if (numBytes % 2 ** 32 !== lastLength) {
    source.onSeveralMembers?.()
  }
}

async function* readZstd(source: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  const packed = createReadStream(source.path, { highWaterMark: CHUNK_BYTES })
  const numFrames = yield* unzstd(packed, source.name, (numPacked, numUnpacked) =>
    refuseBomb('ZSTD_BOMB', source.name, numPacked, numUnpacked),
  )
  if (numFrames > 1) {
    source.onSeveralMembers?.()
  }
}

/** @throws {HostileFileError} when a file unpacks to far more than text does. */
function refuseBomb(code: string, name: string, numPacked: number, numUnpacked: number): void {
  if (numUnpacked > BOMB_FREE_BYTES && numUnpacked > BOMB_RATIO * numPacked) {
    throw new HostileFileError(
      code,
      `${printable(name)}: unpacks to more than ${BOMB_RATIO} times its size (${numUnpacked} bytes so far); ` +
        'real text does not; unpack it by hand if it is meant so',
      { file: name },
    )
  }
}

/** Size of a gzip file, and the unpacked length modulo 2^32 that its last member says it has. */
async function readTrailer(path: string): Promise<{ readonly size: number; readonly lastLength: number }> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.alloc(4)
    await handle.read(bytes, 0, 4, Math.max(0, size - 4))
    return { size, lastLength: bytes.readUInt32LE() }
  } finally {
    await handle.close()
  }
}

function asReadError(error: unknown, name: string): unknown {
  if (error instanceof AdaptError) {
    return error
  }
  const { code, message } = error as NodeJS.ErrnoException
  const file = printable(name)
  if (typeof code === 'string' && code.startsWith('Z_')) {
    return new DataError(
      'GZIP_DAMAGED',
      `${file}: the gzip data is truncated or damaged (${message}); fetch or pack the file again`,
      { file: name },
      { cause: error },
    )
  }
  if (code === 'ENOENT') {
    return new ConfigError('FILE_NOT_FOUND', `${file}: no such file`, { file: name }, { cause: error })
  }
  if (typeof code === 'string') {
    const said = printable(message)
    return new ResourceError(
      'READ_FAILED',
      `${file}: cannot be read: ${said}`,
      { file: name },
      { cause: error },
    )
  }
  return error
}
