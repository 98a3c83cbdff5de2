import { LEDGER, listParts, type PartFile } from './ledger-parts.js'
import { damagedTable, openTable } from './table-reader.js'

/** Rows of consecutive steps; all arrays have `rows` entries, ordered by step. */
export interface LedgerPart {
  readonly firstStep: number
  readonly lastStep: number
  readonly rank: number
  readonly rows: number
  readonly step: Int32Array
  /** Dense index; `samples.parquet` says which sample it is. */
  readonly sample: Int32Array
  readonly source: readonly string[]
  /** The signal's value, before the gate. */
  readonly score: Float32Array
  /** The gate's weight. */
  readonly weight: Float32Array
  /** The static weight of the data record. */
  readonly sampleWeight: Float32Array
  /** Mean over the sample's labels, nats. */
  readonly loss: Float32Array
  /** Number of labels (predicted tokens). */
  readonly tokens: Int32Array
}

/**
 * Reads a run's ledger, a part at a time (some MB each), by first step, then rank. A run that is being written can
 * be read too: its last rows are not there yet.
 *
 * @param folder  `<run>/ledger`.
 * @throws {ConfigError} LEDGER_MISSING. @throws {HostileFileError} LEDGER_DAMAGED, naming the file.
 * @example
 * for await (const part of readLedger('runs/first/ledger')) console.log(part.lastStep, part.rows)
 */
export async function* readLedger(folder: string): AsyncGenerator<LedgerPart> {
  const lastStep = new Map<number, number>()
  for (const file of listParts(folder)) {
    if (file.firstStep <= (lastStep.get(file.rank) ?? 0)) {
      throw damagedTable(file.path, LEDGER, 'steps that another part holds too')
    }
    lastStep.set(file.rank, file.lastStep)
    yield await readPart(file)
  }
}

/** Reads one part. @throws {HostileFileError} LEDGER_DAMAGED. */
export async function readPart({ path, firstStep, lastStep, rank }: PartFile): Promise<LedgerPart> {
  const table = openTable(path, LEDGER)
  try {
    const { numRows: rows } = table
    const { sample_weight: sampleWeight, ...columns } = await table.read(0, rows)
    const { step, sample, tokens } = columns
    const isOrdered = step.every((value, i) => i === 0 || step[i - 1]! <= value)
    if (rows === 0 || step[0] !== firstStep || step[rows - 1] !== lastStep || !isOrdered) {
      throw damagedTable(path, LEDGER, 'other steps than its name says')
    }
    if (!sample.every((index) => index >= 0) || !tokens.every((count) => count >= 0)) {
      throw damagedTable(path, LEDGER, 'a negative sample index or token count')
    }
    return { firstStep, lastStep, rank, rows, sampleWeight, ...columns }
  } finally {
    table.close()
  }
}
