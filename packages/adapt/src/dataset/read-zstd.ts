import { Decompress } from 'fzstd'
import { DataError } from '../errors.js'
import { printable } from './printable.js'
import { XxHash64 } from './xxhash64.js'

const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
/** Largest window that is kept; what `zstd --ultra -22` and `--long=27` need. */
export const MAX_WINDOW_BYTES = 128 * 1024 * 1024
const MAX_HEADER_BYTES = 18
const MAX_BLOCK_BYTES = 128 * 1024

/** What a frame says of itself. */
export interface ZstdHeader {
  /** Bytes of the header, magic included. */
  readonly length: number
  readonly windowBytes: number
  /** Length of the content, where it is said. */
  readonly contentBytes?: number
  readonly hasChecksum: boolean
}

/**
 * Unpacks a Zstandard stream of one or several frames, in constant memory: frames are found here, so that each one's
 * end and checksum can be verified.
 *
 * @param chunks  The packed bytes.
 * @param onProgress  Told after every block how many packed and unpacked bytes there were; may throw.
 * @returns the number of frames that held something.
 * @throws {DataError} ZSTD_DAMAGED for a truncated file, a wrong checksum, bytes that are no frame, a dictionary, or a
 *   window above 128 MiB.
 */
export async function* unzstd(
  chunks: AsyncIterable<Buffer>,
  name: string,
  onProgress: (numPacked: number, numUnpacked: number) => void,
): AsyncGenerator<Buffer, number, undefined> {
  const input = new PackedBytes(chunks, name)
  let numUnpacked = 0
  let numFrames = 0
  if (await input.isAtEnd()) throw damaged(name, 'it is empty')
  while (!(await input.isAtEnd())) {
    const before = numUnpacked
    for await (const part of unpackFrame(input, name)) {
      numUnpacked += part.length
      onProgress(input.position, numUnpacked)
      if (part.length > 0) yield part
    }
    if (numUnpacked > before) numFrames += 1
  }
  return numFrames
}

async function* unpackFrame(input: PackedBytes, name: string): AsyncGenerator<Buffer, void, undefined> {
  const start = input.position
  const magic = (await input.peek(4)).readUInt32LE()
  if (magic >>> 4 === SKIPPABLE >>> 4) {
    await input.take(4)
    await input.skip((await input.take(4)).readUInt32LE())
    return
  }
  const header = readZstdHeader(await input.peek(MAX_HEADER_BYTES, true))
  if (typeof header === 'string') {
    throw damaged(name, `${header} (at compressed byte ${start})`)
  }
  const parts: Buffer[] = []
  const hash = new XxHash64()
  const decoder = new Decompress((part) => {
    parts.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
    if (header.hasChecksum) hash.update(part)
  })
  const push = (bytes: Uint8Array, isLast = false): void => {
    try {
      decoder.push(bytes, isLast)
    } catch (error) {
      throw damaged(
        name,
        `${printable((error as Error).message)} (at compressed byte ${input.position})`,
        error,
      )
    }
  }
  push(await input.take(header.length))
  for (let isLast = false; !isLast; ) {
    const block = await input.peek(3)
    const word = block.readUIntLE(0, 3)
    isLast = (word & 1) === 1
    const isRepeated = ((word >> 1) & 3) === 1
    const size = isRepeated ? 1 : word >> 3
    if (word >> 3 > MAX_BLOCK_BYTES) throw damaged(name, `a block of ${word >> 3} bytes`)
    push(await input.take(3 + size))
    yield Buffer.concat(parts.splice(0))
  }
  const checksum = header.hasChecksum ? await input.take(4) : Buffer.alloc(0)
  push(checksum, true)
  yield Buffer.concat(parts.splice(0))
  if (header.hasChecksum && checksum.readUInt32LE() !== hash.low32()) {
    throw damaged(name, 'its checksum is not that of its content')
  }
}

/** Reads the header of a frame, or says why it cannot be unpacked. */
export function readZstdHeader(bytes: Uint8Array): ZstdHeader | string {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < 6 || view.readUInt32LE() !== MAGIC) return 'no Zstandard frame'
  const flags = view[4]!
  const isSingle = (flags & 32) !== 0
  const numSizeBytes = flags >> 6 === 0 ? (isSingle ? 1 : 0) : 1 << (flags >> 6)
  const numDictionaryBytes = [0, 1, 2, 4][flags & 3]!
  const sizeAt = 5 + (isSingle ? 0 : 1) + numDictionaryBytes
  if (sizeAt + numSizeBytes > view.length) return 'a frame that ends in its header'
  for (let at = sizeAt - numDictionaryBytes; at < sizeAt; at++) {
    if (view[at] !== 0) return 'a frame that needs a dictionary'
  }
  let contentBytes: number | undefined
  if (numSizeBytes === 8) contentBytes = Number(view.readBigUInt64LE(sizeAt))
  else if (numSizeBytes > 0)
    contentBytes = view.readUIntLE(sizeAt, numSizeBytes) + (numSizeBytes === 2 ? 256 : 0)
  const base = 2 ** (10 + (view[5]! >> 3))
  const windowBytes = isSingle ? contentBytes! : base + (base / 8) * (view[5]! & 7)
  if (windowBytes > MAX_WINDOW_BYTES) return `a window of ${windowBytes} bytes, above ${MAX_WINDOW_BYTES}`
  return {
    length: sizeAt + numSizeBytes,
    windowBytes,
    hasChecksum: (flags & 4) !== 0,
    ...(contentBytes === undefined ? {} : { contentBytes }),
  }
}

function damaged(name: string, what: string, cause?: unknown): DataError {
  const said = `the Zstandard data is truncated or damaged: ${what}; fetch or pack the file again`
  return new DataError('ZSTD_DAMAGED', `${printable(name)}: ${said}`, { file: name }, { cause })
}

/** Reads exact numbers of bytes from a stream of chunks. */
class PackedBytes {
  /** Bytes taken so far. */
  position = 0
  readonly #chunks: AsyncIterator<Buffer>
  readonly #name: string
  #held: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Buffer>, name: string) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#name = name
  }

  async isAtEnd(): Promise<boolean> {
    return this.#held.length === 0 && !(await this.#fill(1))
  }

  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count)
    this.#held = this.#held.subarray(count)
    this.position += count
    return bytes
  }

  /** @param mayBeShort  At the end of the file fewer bytes will do. */
  async peek(count: number, mayBeShort = false): Promise<Buffer> {
    if (!(await this.#fill(count)) && !mayBeShort) {
      throw damaged(
        this.#name,
        `it ends within a frame (at compressed byte ${this.position + this.#held.length})`,
      )
    }
    return this.#held.subarray(0, count)
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const step = Math.min(left, MAX_BLOCK_BYTES)
      await this.take(step)
      left -= step
    }
  }

  async #fill(count: number): Promise<boolean> {
    const parts = [this.#held]
    let length = this.#held.length
    while (length < count) {
      const next = await this.#chunks.next()
      if (next.done === true) break
      parts.push(next.value)
      length += next.value.length
    }
    if (parts.length > 1) this.#held = Buffer.concat(parts)
    return length >= count
  }
}
