import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { Decompress, decompress as unzstdWhole } from 'fzstd'
import { type CompressionCodec, snappyUncompress } from 'hyparquet'
import { ParquetUnsupported } from './parquet-faults.js'
import { readZstdHeader, type ZstdHeader } from './read-zstd.js'

type Unpack = (bytes: Uint8Array, length: number) => Uint8Array

const UNPACK: Partial<Record<CompressionCodec, Unpack>> = {
  UNCOMPRESSED: (bytes) => bytes,
  SNAPPY(bytes, length) {
    const page = new Uint8Array(length)
    snappyUncompress(bytes, page)
    return page
  },
  GZIP: (bytes, length) => gunzipSync(bytes, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length) }),
  ZSTD(bytes, length) {
    const header = readZstdHeader(bytes)
    if (typeof header === 'string') throw new Error(header)
    if (header.contentBytes === length && isOneFrame(bytes, header)) {
      return unzstdWhole(bytes)
    }
    // A frame need not say how much it holds, and there may be others behind it.
    const page = new Uint8Array(length)
    let at = 0
    const decoder = new Decompress((part) => {
      page.set(part, at)
      at += part.length
    })
    decoder.push(bytes, true)
    return page.subarray(0, at)
  },
}

function isOneFrame(bytes: Uint8Array, { length, hasChecksum }: ZstdHeader): boolean {
  for (let at = length; at + 3 <= bytes.length; ) {
    const word = bytes[at]! + bytes[at + 1]! * 256 + bytes[at + 2]! * 65536
    const isRepeated = ((word >> 1) & 3) === 1
    at += 3 + (isRepeated ? 1 : word >> 3)
    if ((word & 1) === 1) return at + (hasChecksum ? 4 : 0) === bytes.length
  }
  return false
}

/** @throws {ParquetUnsupported} for a compression that is not read. */
export function requireCodec(codec: CompressionCodec): void {
  if (UNPACK[codec] !== undefined) return
  const readable = Object.keys(UNPACK)
    .map((name) => name.toLowerCase())
    .join(', ')
  throw new ParquetUnsupported(`compressed with ${codec}, expected one of ${readable}`)
}

/** Unpacks a page, or the part of one that is packed, to exactly `length` bytes. */
export function unpackPage(bytes: Uint8Array, length: number, codec: CompressionCodec): Uint8Array {
  if (length === 0) return new Uint8Array(0)
  const page = UNPACK[codec]!(bytes, length)
  if (page.length !== length) throw new Error(`a page of ${page.length} bytes that says ${length}`)
  return page
}
