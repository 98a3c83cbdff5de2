import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, ResourceError } from '../errors.js'
import type { TableFormat } from './parquet-table.js'
import { damagedTable } from './table-reader.js'

/** The columns of a ledger part, one row for each sample of each step; the fields are those of `SampleRecord`. */
export const LEDGER = {
  name: 'ledger',
  columns: {
    step: { kind: 'int32', range: true },
    sample: { kind: 'int32' },
    source: { kind: 'string', dictionary: true },
    score: { kind: 'float32' },
    weight: { kind: 'float32' },
    sample_weight: { kind: 'float32', compressed: true },
    loss: { kind: 'float32' },
    tokens: { kind: 'int32' },
  },
} as const satisfies TableFormat

/** A part file and what its name says. */
export interface PartFile {
  readonly path: string
  readonly firstStep: number
  readonly lastStep: number
  readonly rank: number
}

const PART_NAME = /^part-(\d{8,10})-(\d{8,10})-r(\d{1,6})\.parquet$/

/** `part-<first>-<last>-r<rank>.parquet`; the steps have 8 digits, so that names sort as steps do. */
export function partName(firstStep: number, lastStep: number, rank: number): string {
  const digits = (step: number) => String(step).padStart(8, '0')
  return `part-${digits(firstStep)}-${digits(lastStep)}-r${rank}.parquet`
}

/**
 * The parts in a ledger folder by first step, then rank.
 *
 * @throws {ConfigError} LEDGER_MISSING. @throws {HostileFileError} LEDGER_DAMAGED for a Parquet file of another name.
 */
export function listParts(folder: string): PartFile[] {
  const parts = ledgerEntries(folder)
    .filter((name) => name.endsWith('.parquet'))
    .map((name): PartFile => {
      const path = join(folder, name)
      const match = PART_NAME.exec(name)
      if (match === null) throw damagedTable(path, LEDGER, 'a name that no part has')
      const [firstStep, lastStep, rank] = match.slice(1).map(Number) as [number, number, number]
      return { path, firstStep, lastStep, rank }
    })
  return parts.sort((a, b) => a.firstStep - b.firstStep || a.lastStep - b.lastStep || a.rank - b.rank)
}

/** All names in a ledger folder. @throws {ConfigError} LEDGER_MISSING. @throws {ResourceError} LEDGER_READ. */
export function ledgerEntries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      const text = `ledger: expected a folder with part files at ${folder}, found none; is this a run folder?`
      throw new ConfigError('LEDGER_MISSING', text, { path: folder }, { cause })
    }
    throw new ResourceError(
      'LEDGER_READ',
      `ledger: cannot read ${folder} (${message})`,
      { path: folder },
      { cause },
    )
  }
}
