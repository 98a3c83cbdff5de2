import { crc32c } from '../dataset/crc32.js'

/** One named figure. TensorBoard keeps it as a float32. */
export type Scalar = readonly [tag: string, value: number]

const FILE_VERSION = 'brain.Event:2'
const SESSION_START = 1

/** The first record of every event file. @param time  Seconds since the epoch. */
export function fileVersionRecord(time: number): Uint8Array {
  return frame(concat([double(1, time), text(3, FILE_VERSION)]))
}

/** Makes TensorBoard drop what earlier files say of `step` and later ones. */
export function sessionStartRecord(time: number, step: number): Uint8Array {
  return frame(concat([double(1, time), integer(2, step), bytes(7, integer(1, SESSION_START))]))
}

/** All scalars of one moment as one record. */
export function scalarsRecord(time: number, step: number, scalars: readonly Scalar[]): Uint8Array {
  const values = scalars.map(([tag, value]) => bytes(1, concat([text(1, tag), float(2, value)])))
  return frame(concat([double(1, time), integer(2, step), bytes(5, concat(values))]))
}

/** TFRecord: length (u64, little endian), its masked CRC-32C, the data, its masked CRC-32C. */
function frame(data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(data.length + 16)
  out.writeUInt32LE(data.length, 0)
  out.writeUInt32LE(mask(crc32c(out.subarray(0, 8))), 8)
  out.set(data, 12)
  out.writeUInt32LE(mask(crc32c(data)), 12 + data.length)
  return out
}

/** A CRC of data that holds CRCs would be weak, so the format turns and shifts it. */
function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

// The part of Protocol Buffers that these messages need. Wire types: 0 varint, 1 eight bytes, 2 with a length,
// 5 four bytes. A field with the default value is left out, as the reference writer does.

function varint(value: number): number[] {
  const out: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80)
  out.push(rest)
  return out
}

function integer(field: number, value: number): Uint8Array {
  return value === 0 ? new Uint8Array() : Uint8Array.from([field << 3, ...varint(value)])
}

function double(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(9)
  out[0] = (field << 3) | 1
  out.writeDoubleLE(value, 1)
  return out
}

/** Always written: a member of a `oneof` is told from an absent one by being there. */
function float(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(5)
  out[0] = (field << 3) | 5
  out.writeFloatLE(value, 1)
  return out
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, Buffer.from(value))
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return concat([Uint8Array.from([(field << 3) | 2, ...varint(value.length)]), value])
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
