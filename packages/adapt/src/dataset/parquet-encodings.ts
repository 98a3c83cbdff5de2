import type { Encoding, ParquetType } from 'hyparquet'
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { readPlain } from 'hyparquet/src/plain.js'
import { ParquetUnsupported } from './parquet-faults.js'

/** Values of a page that are not null, in order. */
export type PageValues = ArrayLike<unknown>

/** What the values of a page are. */
export interface ValueLayout {
  readonly encoding: Encoding
  readonly type: ParquetType
  /** Bytes of a value of fixed length. */
  readonly typeLength: number | undefined
  readonly count: number
}

/**
 * Reads the values of a page that do not come from a dictionary.
 * @param takeBytes  Told how many bytes texts take that are made of shared beginnings, before they are made.
 */
export function readValues(
  bytes: Uint8Array,
  { encoding, type, typeLength, count }: ValueLayout,
  takeBytes: (count: number) => void,
): PageValues {
  if (count === 0) return []
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
  switch (encoding) {
    case 'PLAIN':
      requireRoom(bytes, type, typeLength, count)
      return readPlain(reader, type, count, typeLength)
    case 'RLE': {
      if (type !== 'BOOLEAN') throw new Error(`run lengths of ${type}`)
      const values = new Uint8Array(count)
      readRuns(bytes.subarray(4, 4 + reader.view.getUint32(0, true)), 1, values)
      return Array.from(values, (value) => value === 1)
    }
    case 'BYTE_STREAM_SPLIT':
      requireRoom(bytes, type, typeLength, count)
      return byteStreamSplit(reader, count, type, typeLength)
    case 'DELTA_BINARY_PACKED': {
      if (type !== 'INT32' && type !== 'INT64') throw new Error(`differences of ${type}`)
      return unpackIntegers(reader, type === 'INT32' ? new Int32Array(count) : new BigInt64Array(count))
    }
    case 'DELTA_LENGTH_BYTE_ARRAY':
      return joinTexts(bytes, reader, { lengths: unpackIntegers(reader, new Int32Array(count)) }, takeBytes)
    case 'DELTA_BYTE_ARRAY': {
      const shared = unpackIntegers(reader, new Int32Array(count))
      const lengths = unpackIntegers(reader, new Int32Array(count))
      return joinTexts(bytes, reader, { shared, lengths }, takeBytes)
    }
    default:
      throw new ParquetUnsupported(`values encoded as ${encoding}`)
  }
}

/**
 * Fills `out` from runs of equal values and of bit-packed ones.
 * @param width  Bits of a value, at most 32.
 */
export function readRuns(bytes: Uint8Array, width: number, out: Uint8Array | Uint32Array): void {
  if (width > 32) throw new Error(`values of ${width} bits`)
  if (width === 0) return
  const numBytes = (width + 7) >> 3
  let at = 0
  for (let done = 0; done < out.length; ) {
    let header = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined || shift > 28) throw new Error('runs that end too early')
      header += (byte & 127) * 2 ** shift
      if (byte < 128) break
    }
    const count = Math.floor(header / 2)
    if (header % 2 === 0) {
      if (at + numBytes > bytes.length) throw new Error('runs that end too early')
      let value = 0
      for (let i = 0; i < numBytes; i++) value += bytes[at + i]! * 2 ** (8 * i)
      at += numBytes
      const end = Math.min(out.length, done + count)
      out.fill(value, done, end)
      done = end
    } else {
      const numValues = Math.min(count * 8, out.length - done)
      // Some writers leave out bytes that only pad the last group.
      if (at + Math.ceil((numValues * width) / 8) > bytes.length) throw new Error('runs that end too early')
      unpackBits(bytes, at, width, out.subarray(done, done + numValues))
      at += count * width
      done += numValues
    }
  }
}

function unpackBits(bytes: Uint8Array, start: number, width: number, out: Uint8Array | Uint32Array): void {
  const size = 2 ** width
  let at = start
  // A number holds 53 bits: at most 31 that are left over and 8 new ones, or 32 and 8.
  let bits = 0
  let numBits = 0
  for (let i = 0; i < out.length; i++) {
    while (numBits < width) {
      bits += bytes[at++]! * 2 ** numBits
      numBits += 8
    }
    const rest = Math.floor(bits / size)
    out[i] = bits - rest * size
    bits = rest
    numBits -= width
  }
}

type Reader = { readonly view: DataView; offset: number }

function unpackIntegers<Integers extends Int32Array | BigInt64Array>(
  reader: Reader,
  out: Integers,
): Integers {
  deltaBinaryUnpack(reader, out.length, out)
  return out
}

function joinTexts(
  bytes: Uint8Array,
  { offset }: Reader,
  { lengths, shared }: { readonly lengths: Int32Array; readonly shared?: Int32Array },
  takeBytes: (count: number) => void,
): Uint8Array[] {
  let numBytes = 0
  let previous = 0
  for (let i = 0; i < lengths.length; i++) {
    const [length, start] = [lengths[i]!, shared?.[i] ?? 0]
    if (length < 0 || start < 0 || start > previous) throw new Error('texts of impossible length')
    previous = start + length
    numBytes += start === 0 ? 0 : previous
  }
  takeBytes(numBytes)
  const values: Uint8Array[] = new Array(lengths.length)
  let at = offset
  for (let i = 0; i < lengths.length; i++) {
    const [end, start] = [at + lengths[i]!, shared?.[i] ?? 0]
    if (end > bytes.length) throw new Error('texts that end outside their page')
    const rest = bytes.subarray(at, end)
    values[i] = start === 0 ? rest : Buffer.concat([values[i - 1]!.subarray(0, start), rest])
    at = end
  }
  return values
}

const FIXED_BITS: Partial<Record<ParquetType, number>> = {
  BOOLEAN: 1,
  INT32: 32,
  INT64: 64,
  INT96: 96,
  FLOAT: 32,
  DOUBLE: 64,
}

/** Looks before an array is made whether the page can hold so many values. */
function requireRoom(
  bytes: Uint8Array,
  type: ParquetType,
  typeLength: number | undefined,
  count: number,
): void {
  const bits = FIXED_BITS[type] ?? (type === 'BYTE_ARRAY' ? 32 : (typeLength ?? 0) * 8)
  if (Math.ceil((count * bits) / 8) > bytes.length) {
    throw new Error(`${count} values in a page of ${bytes.length} bytes`)
  }
}
