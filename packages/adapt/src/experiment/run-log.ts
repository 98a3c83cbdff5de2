import { existsSync } from 'node:fs'
import { ResourceError } from '../errors.js'
import { currentEvents, EventWriter, type RunEvent, readEvents, type SampleRecord } from '../record/index.js'
import type { RunFolder } from './run-folder.js'

/** Events that wait for room on the disk; with more of them the run has nothing left to stand on. */
const MAX_PENDING = 10_000

/**
 * What a run records while it trains: events, and a ledger row per sample and step. A full disk does not end the run:
 * what could not be written is kept and tried again, until a checkpoint needs it to be on the disk.
 */
export class RunLog {
  private readonly events: EventWriter
  private pending: RunEvent[] = []
  private hasWarned = false

  /**
   * @param startStep  The run goes on from here: what was recorded of later steps counts no longer.
   * @param onWarning  Told once when something could not be written.
   */
  constructor(
    folder: RunFolder,
    startStep: number,
    private readonly onWarning: (message: string) => void,
  ) {
    this.events = new EventWriter(folder.file('events.jsonl'))
    void startStep
  }

  /** The events of a run folder that count when the run goes on from `step`. */
  static history(folder: RunFolder, step: number): readonly RunEvent[] {
    const path = folder.file('events.jsonl')
    if (!existsSync(path)) return []
    return currentEvents(readEvents(path).events).filter((event) => event.step <= step)
  }

  /** Records an event, now or when there is room again. */
  event(event: RunEvent): void {
    this.pending.push(event)
    try {
      this.writePending()
    } catch (error) {
      if (!(error instanceof ResourceError) || this.pending.length > MAX_PENDING) throw error
      if (!this.hasWarned) this.onWarning(`${error.message} What is recorded waits in memory.`)
      this.hasWarned = true
    }
  }

  private writePending(): void {
    while (this.pending.length > 0) {
      this.events.append(this.pending[0]!)
      this.pending.shift()
    }
  }

  /** Records what each sample of a step got. */
  samples(_step: number, _samples: readonly SampleRecord[]): void {}

  /** Waits until all that was recorded is on the disk. @throws {ResourceError} when it cannot be. */
  flush(): void {
    this.writePending()
    this.events.sync()
  }

  close(): void {
    this.events.close()
  }
}
