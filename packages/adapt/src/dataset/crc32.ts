import * as zlib from 'node:zlib'

/** @param polynomial  Reflected. */
function tableOf(polynomial: number): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit++)
      remainder = remainder & 1 ? polynomial ^ (remainder >>> 1) : remainder >>> 1
    table[byte] = remainder
  }
  return table
}

function checksum(table: Int32Array, bytes: Uint8Array, before: number): number {
  let crc = ~before
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

const IEEE = tableOf(0xedb88320)
/** Faster; from Node 20.15 and 22.2 on. */
const native = (zlib as { readonly crc32?: (bytes: Uint8Array, before: number) => number }).crc32
const CASTAGNOLI = tableOf(0x82f63b78)

/**
 * CRC-32 as in gzip and PNG: reflected polynomial 0xEDB88320, start and final xor 0xFFFFFFFF.
 * Node's own where there is one.
 *
 * @param before  The CRC of the bytes that stand before these, to go on from.
 * @returns An unsigned 32-bit integer.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  return native === undefined ? checksum(IEEE, bytes, before) : native(bytes, before)
}

/**
 * CRC-32C (Castagnoli) as in iSCSI and TFRecord files: the same with the reflected polynomial 0x82F63B78.
 *
 * @returns An unsigned 32-bit integer.
 */
export function crc32c(bytes: Uint8Array): number {
  return checksum(CASTAGNOLI, bytes, 0)
}
