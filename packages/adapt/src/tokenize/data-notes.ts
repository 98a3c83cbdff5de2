import { type Document, printable } from '../dataset/index.js'
import type { DatasetCounts } from './dataset-counts.js'
import { HELD } from './frame.js'

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
  /** Keys that look like a control of what is trained but are not heeded. */
  readonly ignoredControls: readonly IgnoredControl[]
  /** Special tokens that the data hold by themselves. */
  readonly heldTokens: HeldTokens
}

/** Counts of documents by the special tokens that they hold. */
export interface HeldTokens {
  /** Texts, and prompts with completions. */
  readonly numTexts: number
  /** Of them, those that begin with bos (or eos, where samples begin with that). */
  readonly numStarted: number
  /** Of them, those that end with eos. */
  readonly numEnded: number
  /** Conversations with bos or eos twice in a row. */
  readonly numTwice: number
}

/** A key of records or messages that looks like a control of what is trained but is not heeded. */
export interface IgnoredControl {
  /** As `label`, or `messages[].mask` for a key of messages. */
  readonly key: string
  /** Records that have it. */
  readonly count: number
  /** Where the first of them is, as `file:line`. */
  readonly first: string
}

export const NO_NOTES: DataNotes = {
  badRecords: [],
  unverifiedFiles: [],
  ignoredControls: [],
  heldTokens: { numTexts: 0, numStarted: 0, numEnded: 0, numTwice: 0 },
}

const MAX_LINES = 20

/** The notes as lines, one for each file. */
export function noteLines({
  badRecords,
  unverifiedFiles,
  ignoredControls,
  heldTokens,
}: DataNotes): readonly string[] {
  const lines = [
    ...badRecords.map(
      ({ file, count, first }) =>
        `${printable(file)}: ${count} bad ${count === 1 ? 'record' : 'records'} skipped; the first is ${first}`,
    ),
    ...unverifiedFiles.map(
      (file) =>
        `${printable(file)}: completeness unverified: it has several gzip members, and one that was cut between two of them reads like a whole one`,
    ),
    ...ignoredControls.map(
      ({ key, count, first }) =>
        `"${printable(key)}" looks like a control of what is trained, and is ignored: ${count} ` +
        `${count === 1 ? 'record has it' : 'records have it'}, the first is ${printable(first)}`,
    ),
    ...heldLines(heldTokens),
  ]
  const rest = lines.length - MAX_LINES
  return rest > 0 ? [...lines.slice(0, MAX_LINES), `and ${rest} more notes of this kind`] : lines
}

function heldLines({ numTexts, numStarted, numEnded, numTwice }: HeldTokens): string[] {
  const lines: string[] = []
  if (numStarted + numEnded > 0) {
    lines.push(
      `of ${numTexts} texts ${numStarted} begin with the start token and ${numEnded} end with eos already: none is added to those`,
    )
  }
  if (numTwice > 0) {
    lines.push(
      `${numTwice} ${numTwice === 1 ? 'conversation has' : 'conversations have'} bos or eos twice in a row: ` +
        'a message seems to hold what the chat template writes',
    )
  }
  return lines
}

/** What was cut off at `max_length` and is not trained, as lines. */
export function truncationLines({
  numResponses,
  numLostResponses,
  numUnlabelled,
  numSamples,
}: DatasetCounts): readonly string[] {
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
  readonly #ignoredControls = new Map<string, { count: number; first: string }>()
  readonly #held = { numTexts: 0, numStarted: 0, numEnded: 0, numTwice: 0 }

  /** @param error  What the record would have ended the reading with. */
  badRecord(file: string, error: Error): void {
    const known = this.#badRecords.get(file)
    if (known === undefined) this.#badRecords.set(file, { count: 1, first: error.message })
    else known.count += 1
  }

  unverified(file: string): void {
    this.#unverifiedFiles.add(file)
  }

  /** @param document  One whose content is used. @param held  Bits of `HELD`. */
  document({ ignoredControls = [], path, line, content }: Document, held: number): void {
    if (content.kind !== 'chat') this.#held.numTexts += 1
    if (held & HELD.start) this.#held.numStarted += 1
    if (held & HELD.end) this.#held.numEnded += 1
    if (held & HELD.twice) this.#held.numTwice += 1
    for (const key of ignoredControls) {
      const known = this.#ignoredControls.get(key)
      if (known !== undefined) known.count += 1
      // Names come from files, which may hold any number of them.
      else if (this.#ignoredControls.size < MAX_LINES) {
        this.#ignoredControls.set(key, { count: 1, first: `${path}:${line}` })
      }
    }
  }

  notes(): DataNotes {
    return {
      badRecords: [...this.#badRecords].map(([file, bad]) => ({ file, ...bad })),
      unverifiedFiles: [...this.#unverifiedFiles],
      ignoredControls: [...this.#ignoredControls].map(([key, found]) => ({ key, ...found })),
      heldTokens: { ...this.#held },
    }
  }
}
