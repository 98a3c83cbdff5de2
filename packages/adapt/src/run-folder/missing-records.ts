import { existsSync } from 'node:fs'
import { currentSteps, readEvents } from '../record/index.js'
import { listParts } from '../record/ledger-parts.js'

/** First and last of some steps in a row. */
type Range = readonly [first: number, last: number]

/**
 * What the log and the ledger of a run should hold of the steps before it goes on, and do not: lines or parts that someone
 * removed. The model lacks nothing, so the run may go on; its reports leave those steps out.
 *
 * @param step  The run goes on from the end of this one.
 * @returns A sentence for each.
 */
export function missingRecords(eventLog: string, ledgerFolder: string, step: number): string[] {
  const events = existsSync(eventLog) ? readEvents(eventLog).events : []
  const recorded = currentSteps(events).map((event): Range => [event.step, event.step])
  const parts = existsSync(ledgerFolder)
    ? listParts(ledgerFolder).map(({ firstStep, lastStep }): Range => [firstStep, lastStep])
    : []
  // A run that began at another run's checkpoint has no steps before it; both say where that was.
  const [opening] = events
  const started = opening?.type === 'run-start' ? opening.step : 0
  const begin = parts.reduce((least, [first]) => Math.min(least, first - 1), started)
  return [
    ...sentences(eventLog, gaps(recorded, begin, step)),
    ...sentences(ledgerFolder, gaps(parts, begin, step)),
  ]
}

/** The steps after `begin` up to `end` that no range covers. */
function gaps(ranges: readonly Range[], begin: number, end: number): Range[] {
  const found: Range[] = []
  let next = begin + 1
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    if (first > end) break
    if (first > next) found.push([next, first - 1])
    next = Math.max(next, last + 1)
  }
  if (next <= end) found.push([next, end])
  return found
}

function sentences(place: string, missing: readonly Range[]): string[] {
  if (missing.length === 0) return []
  const shown = missing
    .slice(0, 5)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`))
  const more = missing.length > shown.length ? ` and ${missing.length - shown.length} more ranges` : ''
  return [`${place} lacks what was recorded of steps ${shown.join(', ')}${more}: reports leave them out`]
}
