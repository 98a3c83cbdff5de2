const TABLE = new Int32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++)
    remainder = remainder & 1 ? 0x82f63b78 ^ (remainder >>> 1) : remainder >>> 1
  TABLE[byte] = remainder
}

/**
 * CRC-32C (Castagnoli), as iSCSI and TFRecord files use it: reflected polynomial 0x82F63B78, start and final xor
 * 0xFFFFFFFF.
 *
 * @returns An unsigned 32-bit integer.
 */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
