import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { syncPath } from '../dataset/sync-path.js'
import { LEDGER, ledgerEntries, listParts, type PartFile, partName } from './ledger-parts.js'
import { readPart } from './ledger-reader.js'
import { TableWriter, TEMPORARY, writeError } from './table-writer.js'

/**
 * Takes a ledger back to the end of a step: what a resume from that step's checkpoint needs, since the steps after it
 * will be run again. Removes temporary files and later parts; a part with rows on both sides is written anew without
 * the later ones. Interrupted at any point it can be called again. A folder that is not there is left so.
 *
 * @param step  Completed steps of the checkpoint; 0 removes everything.
 * @throws {ResourceError} LEDGER_WRITE. @throws {HostileFileError} LEDGER_DAMAGED when a part to be cut is damaged.
 */
export async function truncateLedger(folder: string, step: number): Promise<void> {
  if (!existsSync(folder)) return
  const remove = (paths: readonly string[]) => {
    try {
      for (const path of paths) rmSync(path, { force: true })
      if (paths.length > 0) syncPath(folder)
    } catch (error) {
      throw writeError(LEDGER, folder, error)
    }
  }
  remove(
    ledgerEntries(folder)
      .filter((name) => name.endsWith(TEMPORARY))
      .map((name) => join(folder, name)),
  )
  const parts = listParts(folder)
  for (const part of parts) if (part.firstStep <= step && part.lastStep > step) await keepUntil(part, step)
  remove(parts.filter(({ lastStep }) => lastStep > step).map(({ path }) => path))
}

/** Writes the rows of a part up to a step to a part of their own. */
async function keepUntil(file: PartFile, step: number): Promise<void> {
  const part = await readPart(file)
  const found = part.step.findIndex((value) => value > step)
  const end = found < 0 ? part.rows : found
  const lastStep = part.step[end - 1]!
  const table = new TableWriter(
    join(dirname(file.path), partName(part.firstStep, lastStep, part.rank)),
    LEDGER,
  )
  table.write({
    step: part.step.subarray(0, end),
    sample: part.sample.subarray(0, end),
    source: part.source.slice(0, end),
    score: part.score.subarray(0, end),
    weight: part.weight.subarray(0, end),
    sample_weight: part.sampleWeight.subarray(0, end),
    loss: part.loss.subarray(0, end),
    tokens: part.tokens.subarray(0, end),
  })
  table.publish()
}
