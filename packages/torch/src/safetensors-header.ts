import { BRACE_OPEN, HeaderScanner, QUOTE, SPACE } from './header-scanner.js'
import { duplicate, quote, SafetensorsError } from './safetensors-error.js'

/** Bytes per element. The types below one byte are left out: their tensors cannot be addressed element by element. */
const ITEM_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
} as const

export type SafetensorsDtype = keyof typeof ITEM_BYTES

/** One tensor of a file. `begin` and `end` are byte offsets into the data that follow the header. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** A checked header. Both maps keep the order of the file. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>
  readonly metadata: ReadonlyMap<string, string>
}

/** The format's own limit. */
export const MAX_HEADER_BYTES = 100_000_000
/** Bounds the memory a header can ask for; the largest real files hold some 100,000 tensors. */
export const MAX_TENSORS = 500_000

/** Bytes per element of a safetensors dtype. */
export function safetensorsItemBytes(dtype: SafetensorsDtype): number {
  return ITEM_BYTES[dtype]
}

export function isSafetensorsDtype(name: string): name is SafetensorsDtype {
  return Object.hasOwn(ITEM_BYTES, name)
}

/**
 * Reads the length of the JSON header from the first 8 bytes (unsigned, little-endian).
 *
 * @param fileBytes  Size of the whole file.
 * @returns Bytes of the header, 2 to 100,000,000; the tensor data begin at 8 + that.
 * @throws {SafetensorsError} SAFETENSORS_LENGTH.
 */
export function readHeaderLength(first8: Uint8Array, fileBytes: number): number {
  if (first8.length < 8 || fileBytes < 8) {
    const found = Math.min(first8.length, fileBytes)
    throw new SafetensorsError('SAFETENSORS_LENGTH', `expected 8 bytes of header length, found ${found}`, {
      found,
    })
  }
  const view = new DataView(first8.buffer, first8.byteOffset, 8)
  // Exact only below 2^53, which the limit makes enough.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true)
  const context = { length, fileBytes }
  if (length > MAX_HEADER_BYTES) {
    const message = `expected a header of at most ${MAX_HEADER_BYTES} bytes, the file says ${length}`
    throw new SafetensorsError('SAFETENSORS_LENGTH', message, context)
  }
  if (length < 2) {
    const message = `expected a header of at least 2 bytes, the file says ${length}`
    throw new SafetensorsError('SAFETENSORS_LENGTH', message, context)
  }
  if (8 + length > fileBytes) {
    const message = `expected a header of ${length} bytes, the file has only ${fileBytes - 8} after its first 8`
    throw new SafetensorsError('SAFETENSORS_LENGTH', message, context)
  }
  return length
}

/**
 * Parses and checks a safetensors header. Stricter than `JSON.parse`, which keeps the last of two equal keys and
 * rounds large integers: afterwards every tensor has a known dtype and a size that follows from its shape, and
 * the tensors cover the data exactly once, without gap, overlap or tail.
 *
 * @param bytes  The JSON header alone, without its 8-byte length.
 * @param options.dataBytes  Bytes of the file after the header.
 * @throws {SafetensorsError}
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  options: { readonly dataBytes: number },
): SafetensorsHeader {
  if (bytes.length > MAX_HEADER_BYTES) {
    const message = `expected a header of at most ${MAX_HEADER_BYTES} bytes, received ${bytes.length}`
    throw new SafetensorsError('SAFETENSORS_LENGTH', message, { length: bytes.length })
  }
  const scanner = new HeaderScanner(bytes)
  if (bytes[0] !== BRACE_OPEN) throw scanner.unexpected('"{" as the first byte')
  const tensors = new Map<string, SafetensorsEntry>()
  let metadata: Map<string, string> | undefined
  scanner.object((name) => {
    if (name === '__metadata__') {
      if (metadata !== undefined) throw duplicate(name)
      metadata = readMetadata(scanner)
      return
    }
    if (tensors.has(name)) throw duplicate(name)
    if (tensors.size >= MAX_TENSORS) {
      throw new SafetensorsError('SAFETENSORS_TOO_MANY', `expected at most ${MAX_TENSORS} tensors`, {})
    }
    tensors.set(name, readEntry(scanner, name))
  })
  scanner.end()
  requireCover(tensors, options.dataBytes)
  return { tensors, metadata: metadata ?? new Map() }
}

/**
 * Everything of a file before its tensor data: the 8-byte length and the JSON header, padded with spaces so that
 * the data begin at a multiple of 8 bytes. The data follow in the order of `entries`.
 *
 * @throws {SafetensorsError} for what {@link parseSafetensorsHeader} would refuse.
 */
export function buildSafetensorsHeader(
  entries: readonly {
    readonly name: string
    readonly dtype: string
    readonly shape: readonly number[]
    readonly nbytes: number
  }[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const parts: string[] = []
  if (metadata !== undefined) parts.push(`"__metadata__":${JSON.stringify(metadata)}`)
  let offset = 0
  for (const { name, dtype, shape, nbytes } of entries) {
    const end = offset + nbytes
    const value = { dtype, shape, data_offsets: [offset, end] }
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`)
    offset = end
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`)
  // One check for reading and writing: we never write what we would not read.
  const parsed = parseSafetensorsHeader(json, { dataBytes: offset })
  if (parsed.tensors.size !== entries.length) {
    throw new SafetensorsError(
      'SAFETENSORS_METADATA',
      'expected no tensor with the reserved name __metadata__',
    )
  }
  const padded = Math.ceil(json.length / 8) * 8
  const file = new Uint8Array(8 + padded).fill(SPACE)
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true)
  file.set(json, 8)
  return file
}

function readMetadata(scanner: HeaderScanner): Map<string, string> {
  const metadata = new Map<string, string>()
  if (scanner.peek() !== BRACE_OPEN)
    throw scanner.unexpected('an object of strings as metadata', 'SAFETENSORS_METADATA')
  scanner.object((key) => {
    if (metadata.has(key)) throw duplicate(key)
    if (scanner.peek() !== QUOTE)
      throw scanner.unexpected('a string as metadata value', 'SAFETENSORS_METADATA')
    metadata.set(key, scanner.string())
  })
  return metadata
}

function readEntry(scanner: HeaderScanner, name: string): SafetensorsEntry {
  let dtype: SafetensorsDtype | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  scanner.object((key) => {
    if (key === 'dtype') {
      if (dtype !== undefined) throw duplicate(`${name}.dtype`)
      const found = scanner.string()
      if (!isSafetensorsDtype(found)) {
        const message = `tensor ${quote(name)}: expected a dtype of ${Object.keys(ITEM_BYTES).join(', ')}, found ${quote(found)}`
        throw new SafetensorsError('SAFETENSORS_DTYPE', message, { name, dtype: found })
      }
      dtype = found
    } else if (key === 'shape') {
      if (shape !== undefined) throw duplicate(`${name}.shape`)
      shape = scanner.integers(name)
    } else if (key === 'data_offsets') {
      if (offsets !== undefined) throw duplicate(`${name}.data_offsets`)
      offsets = scanner.integers(name)
    } else {
      const message = `tensor ${quote(name)}: expected dtype, shape and data_offsets, found ${quote(key)}`
      throw new SafetensorsError('SAFETENSORS_HEADER', message, { name, key })
    }
  })
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    const message = `tensor ${quote(name)}: expected dtype, shape and data_offsets, not all are there`
    throw new SafetensorsError('SAFETENSORS_HEADER', message, { name })
  }
  const [begin, end] = offsets
  if (offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    const message = `tensor ${quote(name)}: expected data_offsets [begin, end] with begin <= end, found [${offsets.slice(0, 4)}]`
    throw new SafetensorsError('SAFETENSORS_OFFSETS', message, { name })
  }
  const bytes = shapeBytes(name, shape, ITEM_BYTES[dtype])
  if (end - begin !== bytes) {
    const message = `tensor ${quote(name)}: expected ${bytes} bytes for ${dtype} [${shape.slice(0, 16)}], its offsets span ${end - begin}`
    throw new SafetensorsError('SAFETENSORS_OFFSETS', message, { name, bytes, begin, end })
  }
  return { dtype, shape, begin, end }
}

function shapeBytes(name: string, shape: readonly number[], itemBytes: number): number {
  let bytes = itemBytes
  for (const size of shape) {
    bytes *= size
    // Checked at every factor: a zero at the end must not hide an overflow before it.
    if (!Number.isSafeInteger(bytes)) {
      const message = `tensor ${quote(name)}: expected fewer than 2^53 bytes, its shape is [${shape.slice(0, 16)}]`
      throw new SafetensorsError('SAFETENSORS_SHAPE', message, { name })
    }
  }
  return bytes
}

function requireCover(tensors: ReadonlyMap<string, SafetensorsEntry>, dataBytes: number): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let position = 0
  for (const [name, { begin, end }] of ordered) {
    if (begin !== position) {
      const fault = begin > position ? 'leaves a gap after' : 'overlaps'
      const message = `tensor ${quote(name)}: expected data from byte ${position}, its ${begin} ${fault} the tensor before`
      throw new SafetensorsError('SAFETENSORS_OFFSETS', message, { name, expected: position, begin })
    }
    position = end
  }
  if (position !== dataBytes) {
    const message = `expected ${position} bytes of tensor data, the file has ${dataBytes}`
    throw new SafetensorsError('SAFETENSORS_OFFSETS', message, { expected: position, dataBytes })
  }
}
