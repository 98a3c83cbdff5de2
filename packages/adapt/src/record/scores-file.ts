import type { TokenDataset } from '../tokenize/index.js'
import type { TableFormat } from './parquet-table.js'
import { openTable } from './table-reader.js'
import { TableWriter } from './table-writer.js'

const SCORES = {
  name: 'scores',
  columns: {
    id: { kind: 'string', compressed: true },
    source: { kind: 'string', dictionary: true },
    path: { kind: 'string', dictionary: true },
    line: { kind: 'int32' },
    tokens: { kind: 'int32' },
    score: { kind: 'float32', compressed: true },
    weight: { kind: 'float32', compressed: true },
    kept: { kind: 'boolean' },
  },
} as const satisfies TableFormat

const ROWS_PER_GROUP = 32_768

/** What a method makes of the samples of a pool, by dense index. */
export interface PoolScores {
  /** NaN where the method gives none. */
  readonly score_P: Float32Array
  readonly weight_P: Float32Array
  readonly kept_P: Uint8Array
}

/** A row of the file. */
export interface ScoredSample {
  readonly id: string
  readonly source: string
  readonly path: string
  readonly line: number
  readonly tokens: number
  readonly score: number
  readonly weight: number
  readonly kept: boolean
}

/**
 * Writes what a method makes of every sample of the training data as Parquet: id, source, path, line, tokens, score, weight, kept, in the order of the data.
 * The file appears whole or not at all.
 * @throws {ResourceError} SCORES_WRITE.
 */
export async function writeScores(
  path: string,
  dataset: Pick<TokenDataset, 'numSamples' | 'origin' | 'length'>,
  { score_P, weight_P, kept_P }: PoolScores,
): Promise<void> {
  const table = new TableWriter(path, SCORES)
  try {
    for (let begin = 0; begin < dataset.numSamples; begin += ROWS_PER_GROUP) {
      const end = Math.min(begin + ROWS_PER_GROUP, dataset.numSamples)
      const origins = Array.from({ length: end - begin }, (_, row) => dataset.origin(begin + row))
      table.write({
        id: origins.map(({ id }) => id),
        source: origins.map(({ source }) => source),
        path: origins.map((origin) => origin.path),
        line: Int32Array.from(origins, ({ line }) => line),
        tokens: Int32Array.from(origins, (_, row) => dataset.length(begin + row)),
        score: score_P.slice(begin, end),
        weight: weight_P.slice(begin, end),
        kept: Array.from(kept_P.subarray(begin, end), (kept) => kept === 1),
      })
      // Signals and timers get their turn.
      await new Promise(setImmediate)
    }
    table.publish()
  } catch (error) {
    table.abort()
    throw error
  }
}

/** Reads what {@link writeScores} wrote. @throws {ConfigError} SCORES_MISSING. @throws {HostileFileError} SCORES_DAMAGED. */
export async function readScores(path: string): Promise<ScoredSample[]> {
  const table = openTable(path, SCORES)
  try {
    const samples: ScoredSample[] = []
    for (const [begin, end] of table.groups) {
      const rows = await table.read(begin, end)
      for (let row = 0; row < end - begin; row++) {
        samples.push({
          id: rows.id[row]!,
          source: rows.source[row]!,
          path: rows.path[row]!,
          line: rows.line[row]!,
          tokens: rows.tokens[row]!,
          score: rows.score[row]!,
          weight: rows.weight[row]!,
          kept: rows.kept[row]!,
        })
      }
    }
    return samples
  } finally {
    table.close()
  }
}
