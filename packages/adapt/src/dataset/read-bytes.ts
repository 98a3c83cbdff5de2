import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AdaptError, ConfigError, DataError, HostileFileError, ResourceError } from '../errors.js'
import { printable } from './printable.js'

const CHUNK_BYTES = 256 * 1024
const BOMB_FREE_BYTES = 64 * 1024 * 1024
const BOMB_RATIO = 1000

/** What to open: `name` is used in errors. */
export interface ByteSource {
  readonly path: string
  readonly name: string
  readonly gzip: boolean
}

/**
 * Streams the (uncompressed) bytes of a file in chunks, in constant memory. Several gzip members after one
 * another are one file. A file cut exactly between two members cannot be told from a whole one.
 *
 * @throws {DataError} GZIP_DAMAGED for a truncated file, a wrong checksum or bytes after the last member.
 * @throws {HostileFileError} GZIP_BOMB past 64 MiB when the output is more than 1000 times the input.
 * @throws {ConfigError} FILE_NOT_FOUND. @throws {ResourceError} READ_FAILED for an I/O error.
 */
export async function* readBytes(source: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  try {
    if (source.gzip) {
      yield* readGzip(source)
    } else {
      yield* createReadStream(source.path, { highWaterMark: CHUNK_BYTES })
    }
  } catch (error) {
    throw asReadError(error, source.name)
  }
}

async function* readGzip({ path, name }: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  const { size } = await stat(path)
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  // The callback form hands an error of either stream to whoever iterates `gunzip`, and closes both.
  pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), gunzip, () => {})
  let numBytes = 0
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    numBytes += chunk.length
    if (numBytes > BOMB_FREE_BYTES && numBytes > BOMB_RATIO * gunzip.bytesWritten) {
      throw new HostileFileError(
        'GZIP_BOMB',
        `${printable(name)}: unpacks to more than ${BOMB_RATIO} times its size (${numBytes} bytes so far); ` +
          'real text does not; unpack it by hand if it is meant so',
        { file: name },
      )
    }
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
