const TABLE = new Int32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++)
    remainder = remainder & 1 ? 0xedb88320 ^ (remainder >>> 1) : remainder >>> 1
  TABLE[byte] = remainder
}

/**
 * CRC-32 as in gzip and PNG: reflected polynomial 0xEDB88320, start and final xor 0xFFFFFFFF.
 * Ours because `zlib.crc32` came only with Node 22.
 *
 * @param before  The CRC of the bytes that stand before these, to go on from.
 * @returns An unsigned 32-bit integer.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
