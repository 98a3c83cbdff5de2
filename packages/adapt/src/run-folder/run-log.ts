import { existsSync } from 'node:fs'
import { ResourceError } from '../errors.js'
import {
  currentEvents,
  EventWriter,
  LedgerWriter,
  type RunEvent,
  readEvents,
  type SampleRecord,
  truncateLedger,
  writeSamples,
} from '../record/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import { missingRecords } from './missing-records.js'
import type { RunFolder } from './run-folder.js'
import type { TensorBoardLog } from './tensorboard-log.js'

const LEDGER_FOLDER = 'ledger'
/** Records that wait for room on the disk; with more of them the run has nothing left to stand on. */
const MAX_PENDING = 10_000

/**
 * What a run records while it trains: events, and a ledger row per sample and step. A full disk does not end the run:
 * what could not be written is kept and tried again, until a checkpoint needs it to be on the disk.
 */
export class RunLog {
  /** Of rank 0: what happens is the same on every rank. */
  private readonly events: EventWriter | undefined
  private readonly ledger: LedgerWriter
  private readonly pending: (() => void)[] = []
  private hasWarned = false

  /**
   * @param board  Gets every event too; it may lose some.
   * @param onWarning  Told once when something could not be written.
   * @param rank  Of a rank above 0 only the samples that it trained are recorded, in parts of its own.
   */
  constructor(
    private readonly folder: RunFolder,
    private readonly board: TensorBoardLog | undefined,
    private readonly onWarning: (message: string) => void,
    rank = 0,
  ) {
    this.events = rank === 0 ? new EventWriter(folder.file('events.jsonl')) : undefined
    this.ledger = new LedgerWriter(folder.file(LEDGER_FOLDER), { rank })
  }

  /**
   * Takes the ledger of a run back to the step that it goes on from, and writes which sample is which if it is not there.
   * @throws {ResourceError} when the folder cannot be written.
   */
  static async prepare(folder: RunFolder, startStep: number, dataset: TokenDataset): Promise<void> {
    await truncateLedger(folder.file(LEDGER_FOLDER), startStep)
    const samples = folder.file('samples.parquet')
    if (!existsSync(samples)) await writeSamples(samples, dataset)
  }

  /** The events of a run folder that count when the run goes on from `step`. */
  static history(folder: RunFolder, step: number): readonly RunEvent[] {
    const path = folder.file('events.jsonl')
    if (!existsSync(path)) return []
    return currentEvents(readEvents(path).events).filter((event) => event.step <= step)
  }

  /** What is not there of the steps before the run goes on; see `missingRecords`. */
  missing(step: number): string[] {
    return missingRecords(this.folder.file('events.jsonl'), this.ledger.folder, step)
  }

  /** Records an event, now or when there is room again. */
  event(event: RunEvent): void {
    const { events } = this
    if (events === undefined) return
    this.write(() => events.append(event))
    this.board?.append(event)
  }

  /** Records what each sample of a step got. */
  samples(step: number, samples: readonly SampleRecord[]): void {
    this.write(() => this.ledger.append(step, samples))
  }

  private write(record: () => void): void {
    this.pending.push(record)
    try {
      this.writePending()
    } catch (error) {
      if (!(error instanceof ResourceError) || this.pending.length > MAX_PENDING) throw error
      if (!this.hasWarned) this.onWarning(`${error.message} What is recorded waits in memory.`)
      this.hasWarned = true
    }
  }

  private writePending(): void {
    for (let first = this.pending[0]; first !== undefined; first = this.pending[0]) {
      first()
      this.pending.shift()
    }
  }

  /** Waits until all that was recorded is on the disk. @throws {ResourceError} when it cannot be. */
  flush(): void {
    this.writePending()
    this.ledger.flush()
    this.events?.sync()
    this.board?.flush()
  }

  /** Closes the files. What cannot be written now is later than the last checkpoint and will be run again. */
  close(): void {
    try {
      this.writePending()
      this.ledger.close()
    } catch (error) {
      if (!(error instanceof ResourceError)) throw error
      this.onWarning(error.message)
    }
    this.events?.close()
    this.board?.close()
  }
}
