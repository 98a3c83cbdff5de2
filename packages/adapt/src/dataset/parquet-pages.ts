import type { FileHandle } from 'node:fs/promises'
import type { ColumnMetaData, PageHeader } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { crc32 } from './crc32.js'
import type { ParquetBudget } from './parquet-budget.js'
import { unpackPage } from './parquet-codecs.js'
import { type PageValues, readRuns, readValues } from './parquet-encodings.js'
import { ParquetUnsupported } from './parquet-faults.js'
import type { Leaf } from './parquet-schema.js'
import { thriftEnd } from './parquet-thrift.js'

/** One page of a column: how deep each entry is, and the values of those that hold one. */
export interface Page {
  readonly numEntries: number
  /** Undefined where every entry holds a value. */
  readonly definition: Uint8Array | undefined
  /** Undefined where every entry is a row. */
  readonly repetition: Uint8Array | undefined
  /** As a record has them; see `Leaf.convert`. */
  readonly values: ArrayLike<unknown>
}

/** A file and how long it was when it was opened. */
export interface OpenFile {
  readonly handle: FileHandle
  readonly size: number
}

interface Dictionary {
  readonly values: ArrayLike<unknown>
  /** Bytes of each text. */
  readonly sizes: Uint32Array
}

/** A page is held whole; a larger one is refused. */
const MAX_PAGE_BYTES = 512 * 1024 * 1024
const MAX_PAGE_ENTRIES = 2 ** 25
const MAX_HEADER_BYTES = 32 * 1024 * 1024
const READ_BYTES = 256 * 1024

/**
 * Streams the pages of a column chunk, one page and a dictionary in memory.
 * @throws {ParquetUnsupported} for what is not read. @throws {Error} for damage. @throws what the budget throws.
 */
export async function* readPages(
  file: OpenFile,
  chunk: ColumnMetaData,
  leaf: Leaf,
  budget: ParquetBudget,
): AsyncGenerator<Page, void, undefined> {
  const { dictionary_page_offset, data_page_offset, total_compressed_size, num_values } = chunk
  const start = Number(dictionary_page_offset || data_page_offset)
  const bytes = new FilePart(file, start, start + Number(total_compressed_size))
  let dictionary: Dictionary | undefined
  for (let left = Number(num_values); left > 0; ) {
    const header = await bytes.readHeader()
    const { type, uncompressed_page_size: length, compressed_page_size: packedLength } = header
    const numEntries = entriesOf(header)
    // Looked at before anything is made of these sizes.
    if (!isLength(length) || !isLength(packedLength) || !isLength(numEntries))
      throw new Error('a page of impossible size')
    budget.takeBytes(length)
    budget.takeValues(numEntries)
    if (length > MAX_PAGE_BYTES || numEntries > MAX_PAGE_ENTRIES) {
      throw new ParquetUnsupported(
        `a page of ${length} bytes and ${numEntries} values, expected at most ${MAX_PAGE_BYTES} and ${MAX_PAGE_ENTRIES}`,
      )
    }
    const packed = await bytes.take(packedLength)
    if (header.crc !== undefined && header.crc >>> 0 !== crc32(packed))
      throw new Error('a page whose checksum is wrong')
    if (type === 'INDEX_PAGE') continue
    const content: PageContent = { header, packed, chunk, leaf, budget }
    if (type === 'DICTIONARY_PAGE') {
      dictionary = readDictionary(content)
      continue
    }
    if (numEntries > left) throw new Error('more values than announced')
    left -= numEntries
    yield readDataPage(content, dictionary)
  }
}

interface PageContent {
  readonly header: PageHeader
  readonly packed: Uint8Array
  readonly chunk: ColumnMetaData
  readonly leaf: Leaf
  readonly budget: ParquetBudget
}

function entriesOf({
  type,
  data_page_header,
  data_page_header_v2,
  dictionary_page_header,
}: PageHeader): number {
  if (type === 'INDEX_PAGE') return 0
  const header = {
    DATA_PAGE: data_page_header,
    DATA_PAGE_V2: data_page_header_v2,
    DICTIONARY_PAGE: dictionary_page_header,
  }[type]
  if (header === undefined) throw new Error('a page without a header')
  return header.num_values
}

const isLength = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** Texts of a dictionary are made once; each use of one counts with its length. */
function readDictionary({ header, packed, chunk, leaf, budget }: PageContent): Dictionary {
  const bytes = unpackPage(packed, header.uncompressed_page_size, chunk.codec)
  const count = header.dictionary_page_header!.num_values
  const values = readValues(bytes, { ...leaf, encoding: 'PLAIN', count }, (n) => budget.takeBytes(n))
  const sizes = Uint32Array.from(values, (value) => (value instanceof Uint8Array ? value.length : 0))
  return { values: converted(values, leaf), sizes }
}

function converted(values: PageValues, { convert }: Leaf): ArrayLike<unknown> {
  if (convert === undefined) return values
  const out: unknown[] = []
  for (let i = 0; i < values.length; i++) out.push(convert(values[i]))
  return out
}

function readDataPage(
  { header, packed, chunk, leaf, budget }: PageContent,
  dictionary: Dictionary | undefined,
): Page {
  const second = header.data_page_header_v2
  const { num_values: numEntries, encoding } = (second ?? header.data_page_header)!
  let repetition: Uint8Array | undefined
  let definition: Uint8Array | undefined
  let bytes: Uint8Array
  if (second === undefined) {
    bytes = unpackPage(packed, header.uncompressed_page_size, chunk.codec)
    const takeLevels = (highest: number, how: string): Uint8Array | undefined => {
      if (highest === 0) return undefined
      if (how !== 'RLE') throw new ParquetUnsupported(`levels encoded as ${how}`)
      const end = 4 + new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)
      const levels = readLevels(bytes.subarray(4, end), highest, numEntries)
      bytes = bytes.subarray(end)
      return levels
    }
    const { repetition_level_encoding, definition_level_encoding } = header.data_page_header!
    repetition = takeLevels(leaf.maxRepetition, repetition_level_encoding)
    definition = takeLevels(leaf.maxDefinition, definition_level_encoding)
  } else {
    const {
      repetition_levels_byte_length: first,
      definition_levels_byte_length: next,
      is_compressed,
    } = second
    const length = header.uncompressed_page_size - first - next
    if (!isLength(first) || !isLength(next) || length < 0 || first + next > packed.length)
      throw new Error('levels of impossible length')
    repetition = readLevels(packed.subarray(0, first), leaf.maxRepetition, numEntries)
    definition = readLevels(packed.subarray(first, first + next), leaf.maxDefinition, numEntries)
    bytes = unpackPage(packed.subarray(first + next), length, is_compressed ? chunk.codec : 'UNCOMPRESSED')
  }
  // A writer's own number of nulls is not asked: many leave out those of empty and absent lists.
  let count = numEntries
  for (const level of definition ?? []) if (level !== leaf.maxDefinition) count -= 1
  if (count === numEntries) definition = undefined
  const values = encoding.endsWith('_DICTIONARY')
    ? lookUp(bytes, dictionary, count, budget)
    : converted(
        readValues(bytes, { ...leaf, encoding, count }, (n) => budget.takeBytes(n)),
        leaf,
      )
  return { numEntries, definition, repetition, values }
}

function readLevels(bytes: Uint8Array, highest: number, count: number): Uint8Array | undefined {
  if (highest === 0) return undefined
  const levels = new Uint8Array(count)
  readRuns(bytes, 32 - Math.clz32(highest), levels)
  for (const level of levels) if (level > highest) throw new Error('a level that the schema has not')
  return levels
}

function lookUp(
  bytes: Uint8Array,
  dictionary: Dictionary | undefined,
  count: number,
  budget: ParquetBudget,
): ArrayLike<unknown> {
  if (count === 0) return []
  if (dictionary === undefined) throw new Error('a page whose dictionary is missing')
  const { values, sizes } = dictionary
  const places = new Uint32Array(count)
  readRuns(bytes.subarray(1), bytes[0] ?? 0, places)
  let numBytes = 0
  for (const place of places) {
    if (place >= values.length) throw new Error('a value that the dictionary has not')
    numBytes += sizes[place]!
  }
  budget.takeBytes(numBytes)
  const out: unknown[] = []
  for (const place of places) out.push(values[place])
  return out
}

/** Reads a part of a file from its beginning to its end. */
class FilePart {
  #held = new Uint8Array(0)
  #at: number

  constructor(
    private readonly file: OpenFile,
    start: number,
    private readonly end: number,
  ) {
    if (!(isLength(start) && isLength(end) && start <= end && end <= file.size))
      throw new Error('an address outside the file')
    this.#at = start
  }

  /** A header does not say how long it is: with texts in its statistics it can be long. */
  async readHeader(): Promise<PageHeader> {
    for (let size = 4096; size <= MAX_HEADER_BYTES; size *= 8) {
      const isWhole = !(await this.#hold(size))
      const end = thriftEnd(this.#held, 0)
      if (end !== undefined) {
        const { buffer, byteOffset } = this.#held
        this.#held = this.#held.subarray(end)
        return parquetHeader({ view: new DataView(buffer, byteOffset, end), offset: 0 })
      }
      if (isWhole) break
    }
    throw new Error('a column that ends within the header of a page')
  }

  async take(count: number): Promise<Uint8Array> {
    if (!(await this.#hold(count))) throw new Error('a column that ends within a page')
    const bytes = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(count)
    return bytes
  }

  /** Whether there are so many bytes. */
  async #hold(count: number): Promise<boolean> {
    const missing = count - this.#held.length
    const left = this.end - this.#at
    if (missing <= 0) return true
    if (left > 0) {
      const length = Math.min(left, Math.max(missing, READ_BYTES))
      const bytes = new Uint8Array(this.#held.length + length)
      bytes.set(this.#held)
      for (let at = this.#held.length; at < bytes.length; ) {
        const { bytesRead } = await this.file.handle.read(bytes, at, bytes.length - at, this.#at)
        if (bytesRead === 0) throw new Error('an end within a column')
        at += bytesRead
        this.#at += bytesRead
      }
      this.#held = bytes
    }
    return this.#held.length >= count
  }
}
