import { closeSync } from 'node:fs'
import { openRegular } from '../dataset/regular-file.js'
import { ConfigError, HostileFileError } from '../errors.js'
import { decodeEvent } from './event-codec.js'
import { type EventLine, readEventLines } from './event-lines.js'
import { eventProblem } from './event-shape.js'
import type { RunEvent } from './run-event.js'
import type { StepRecord } from './step-record.js'

/** A log as it was found. */
export interface EventLog {
  readonly events: RunEvent[]
  /** True when the last record was torn by a crash and left out. */
  readonly droppedTail: boolean
}

/**
 * Reads `events.jsonl`, every record checked against its CRC. A torn LAST record is what a crash leaves and is
 * dropped; a bad record before it means the file was damaged.
 *
 * @throws {ConfigError} EVENT_LOG_MISSING.
 * @throws {HostileFileError} EVENT_LOG_DAMAGED; `context.line` is 1-based.
 */
export function readEvents(path: string): EventLog {
  const descriptor = openLog(path)
  try {
    const { events, torn } = scanEvents(descriptor, path)
    return { events, droppedTail: torn !== null }
  } finally {
    closeSync(descriptor)
  }
}

/**
 * The history that counts. A `run-start` takes the run back to its step, so what earlier processes did after
 * that step (work since the last checkpoint, lost and trained again) is left out; of two evaluations of one kind at the
 * same step the later one stays. Every step appears exactly once.
 */
export function currentEvents(events: readonly RunEvent[]): RunEvent[] {
  let current: RunEvent[] = []
  for (const event of events) {
    if (event.type === 'run-start') {
      current = current.filter((e) => countsBefore(e, event.step))
    }
    current.push(event)
  }
  const last = new Map<string, RunEvent>()
  const isMeasured = ({ type }: RunEvent) => type === 'evaluation' || type === 'tasks'
  const keyOf = ({ type, step }: RunEvent) => `${type} ${step}`
  for (const event of current) if (isMeasured(event)) last.set(keyOf(event), event)
  return current.filter((event) => !isMeasured(event) || last.get(keyOf(event)) === event)
}

/** Whether an event belongs to the part of a run that is kept when it goes on from `step`. */
function countsBefore(event: RunEvent, step: number): boolean {
  if (event.type === 'run-start' || event.type === 'run-end') return true
  // A refresh at step N prepares step N + 1, so it happens again.
  return event.type === 'refresh' ? event.step < step : event.step <= step
}

/** The step records of {@link currentEvents}, in order. */
export function currentSteps(events: readonly RunEvent[]): StepRecord[] {
  return currentEvents(events).filter((event): event is StepRecord => event.type === 'step')
}

/** What a log holds, and where its whole records end. */
export interface EventScan {
  readonly events: RunEvent[]
  /** The torn last record, if there is one. */
  readonly torn: EventLine | null
  /** The last whole record. */
  readonly last: EventLine | null
}

/** Shared with the writer, which must cut off exactly what the reader drops. */
export function scanEvents(descriptor: number, path: string): EventScan {
  const events: RunEvent[] = []
  let torn: EventLine | null = null
  let last: EventLine | null = null
  for (const line of readEventLines(descriptor)) {
    if (torn !== null) throw damaged(path, torn)
    const event = decodeEvent(line.bytes)
    if (event === null) {
      torn = line
    } else {
      const problem = eventProblem(event)
      if (problem !== undefined) throw forged(path, line, problem)
      events.push(event)
      last = line
    }
  }
  return { events, torn, last }
}

function openLog(path: string): number {
  try {
    return openRegular(path)
  } catch (cause) {
    const message = `event log: expected a readable file, found none at ${path}; is this a run folder?`
    throw new ConfigError('EVENT_LOG_MISSING', message, { path }, { cause })
  }
}

function forged(path: string, { number, begin }: EventLine, problem: string): HostileFileError {
  return new HostileFileError(
    'EVENT_LOG_DAMAGED',
    `event log: ${path}:${number} is no event that a run writes (${problem}); restore the file from a copy, or move it away`,
    { path, line: number, byteOffset: begin },
  )
}

function damaged(path: string, line: EventLine): HostileFileError {
  return new HostileFileError(
    'EVENT_LOG_DAMAGED',
    `event log: expected a record with a valid CRC at ${path}:${line.number}, found damage before the end of the file; ` +
      'restore the file from a copy, or move it away to start a new log',
    { path, line: line.number, byteOffset: line.begin },
  )
}
