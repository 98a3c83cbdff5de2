import { printable } from '../dataset/index.js'
import type { TokenDataset } from './token-dataset.js'

/** Records of one file that were skipped within `maxBadRecords`. */
export interface BadRecords {
  /** Name of the data file. */
  readonly file: string
  readonly count: number
  /** What was wrong with the first of them, with file, line and byte offset. */
  readonly first: string
}

/** What a user should know of how a dataset was read. Kept with the cache, so that each run that uses it can say it. */
export interface DataNotes {
  readonly badRecords: readonly BadRecords[]
  /** Gzip files of several members: one that was cut between two members reads like a whole one. */
  readonly unverifiedFiles: readonly string[]
}

export const NO_NOTES: DataNotes = { badRecords: [], unverifiedFiles: [] }

const MAX_LINES = 20

/** The notes as lines, one for each file. */
export function noteLines({ badRecords, unverifiedFiles }: DataNotes): readonly string[] {
  const lines = [
    ...badRecords.map(
      ({ file, count, first }) =>
        `${printable(file)}: ${count} bad ${count === 1 ? 'record' : 'records'} skipped; the first is ${first}`,
    ),
    ...unverifiedFiles.map(
      (file) =>
        `${printable(file)}: completeness unverified: it has several gzip members, and one that was cut between two of them reads like a whole one`,
    ),
  ]
  const rest = lines.length - MAX_LINES
  return rest > 0 ? [...lines.slice(0, MAX_LINES), `and ${rest} more notes of this kind`] : lines
}

/** What was cut off at `max_length` and is not trained, as lines. */
export function truncationLines({
  numResponses,
  numLostResponses,
  numUnlabelled,
  numSamples,
}: Pick<
  TokenDataset,
  'numResponses' | 'numLostResponses' | 'numUnlabelled' | 'numSamples'
>): readonly string[] {
  const count = (part: number, whole: number) =>
    `${part} of ${whole} (${((100 * part) / Math.max(1, whole)).toFixed(1)} %)`
  const lines: string[] = []
  if (numLostResponses > 0) {
    lines.push(
      `${count(numLostResponses, numResponses)} responses lie beyond data.max_length and are not trained`,
    )
  }
  if (numUnlabelled > 0) {
    lines.push(`${count(numUnlabelled, numSamples)} samples have no trained token`)
  }
  return lines
}

/** Collects notes while files are read. */
export class NoteTaker {
  readonly #badRecords = new Map<string, { count: number; first: string }>()
  readonly #unverifiedFiles = new Set<string>()

  /** @param error  What the record would have ended the reading with. */
  badRecord(file: string, error: Error): void {
    const known = this.#badRecords.get(file)
    if (known === undefined) this.#badRecords.set(file, { count: 1, first: error.message })
    else known.count += 1
  }

  unverified(file: string): void {
    this.#unverifiedFiles.add(file)
  }

  notes(): DataNotes {
    return {
      badRecords: [...this.#badRecords].map(([file, bad]) => ({ file, ...bad })),
      unverifiedFiles: [...this.#unverifiedFiles],
    }
  }
}
