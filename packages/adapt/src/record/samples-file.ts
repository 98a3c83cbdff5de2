import type { TokenDataset } from '../tokenize/index.js'
import type { TableFormat, TableRows } from './parquet-table.js'
import { damagedTable, openTable } from './table-reader.js'
import { TableWriter } from './table-writer.js'

const SAMPLES = {
  name: 'samples',
  columns: {
    sample: { kind: 'int32', range: true },
    id: { kind: 'string', compressed: true },
    source: { kind: 'string', dictionary: true },
    path: { kind: 'string', dictionary: true },
    line: { kind: 'int32' },
    tokens: { kind: 'int32' },
    weight: { kind: 'float32', compressed: true },
  },
} as const satisfies TableFormat

const ROWS_PER_GROUP = 32_768

/** Where a sample comes from. */
export interface SampleEntry {
  readonly id: string
  readonly source: string
  /** The data file, as the config names it. */
  readonly path: string
  /** 1-based line of the record in that file. */
  readonly line: number
  /** All tokens of the sample; the ledger counts labels only. */
  readonly tokens: number
  /** The static weight of the data record. */
  readonly weight: number
}

/**
 * Writes `samples.parquet`, which leads from the dense index of the ledger back to the data: sample, id, source,
 * path, line, tokens, weight of every sample, in the order of the index. Row group by row group, so memory does not
 * grow with the data; the event loop gets its turn between them.
 *
 * @throws {ResourceError} SAMPLES_WRITE; there is no file then, or the older one.
 */
export async function writeSamples(
  path: string,
  dataset: Pick<TokenDataset, 'numSamples' | 'origin' | 'length'>,
): Promise<void> {
  const table = new TableWriter(path, SAMPLES)
  try {
    for (let begin = 0; begin < dataset.numSamples; begin += ROWS_PER_GROUP) {
      const size = Math.min(ROWS_PER_GROUP, dataset.numSamples - begin)
      table.write(describeSamples(dataset, begin, size))
      await new Promise(setImmediate)
    }
    table.publish()
  } catch (error) {
    table.abort()
    throw error
  }
}

function describeSamples(
  dataset: Pick<TokenDataset, 'origin' | 'length'>,
  begin: number,
  size: number,
): TableRows<typeof SAMPLES.columns> {
  const texts = () => new Array<string>(size)
  const ints = () => new Int32Array(size)
  const [id, source, path] = [texts(), texts(), texts()]
  const [sample, line, tokens, weight] = [ints(), ints(), ints(), new Float32Array(size)]
  for (let row = 0; row < size; row++) {
    const origin = dataset.origin(begin + row)
    sample[row] = origin.index
    id[row] = origin.id
    source[row] = origin.source
    path[row] = origin.path
    line[row] = origin.line
    tokens[row] = dataset.length(begin + row)
    weight[row] = origin.weight
  }
  return { sample, id, source, path, line, tokens, weight }
}

/**
 * Reads `samples.parquet` back.
 *
 * @param wanted  Dense indices to look up; only the row groups that hold them are read. All samples without it.
 *   Indices that the file does not have are left out.
 * @throws {ConfigError} SAMPLES_MISSING. @throws {HostileFileError} SAMPLES_DAMAGED.
 */
export async function readSamples(
  path: string,
  wanted?: ReadonlySet<number>,
): Promise<Map<number, SampleEntry>> {
  const table = openTable(path, SAMPLES)
  try {
    const samples = new Map<number, SampleEntry>()
    for (const [begin, end] of table.groups) {
      if (wanted !== undefined && ![...wanted].some((index) => index >= begin && index < end)) continue
      const rows = await table.read(begin, end)
      for (let row = 0; row < end - begin; row++) {
        const index = begin + row
        if (rows.sample[row] !== index) throw damagedTable(path, SAMPLES, 'samples that are not in order')
        if (wanted !== undefined && !wanted.has(index)) continue
        samples.set(index, {
          id: rows.id[row]!,
          source: rows.source[row]!,
          path: rows.path[row]!,
          line: rows.line[row]!,
          tokens: rows.tokens[row]!,
          weight: rows.weight[row]!,
        })
      }
    }
    return samples
  } finally {
    table.close()
  }
}
