import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from 'node:fs'
import { writeFully } from '../dataset/write-fully.js'
import { HostileFileError, ResourceError } from '../errors.js'
import { encodeEvent } from './event-codec.js'
import { scanEvents } from './read-events.js'
import type { RunEvent } from './run-event.js'

/**
 * Appends to `events.jsonl`: one `write` per record, so a crash can tear only the last one. Opening an existing
 * log checks it and cuts a torn tail off; the records before it stay as they are, byte for byte.
 *
 * One writer per file (the run folder's lock sees to that).
 */
export class EventWriter {
  readonly path: string
  #descriptor: number
  /** Bytes of whole records. The file is longer only after a failed write that could not be undone. */
  #size: number
  #clean = true

  /**
   * @throws {HostileFileError} EVENT_LOG_DAMAGED when a record before the last is bad.
   * @throws {ResourceError} EVENT_LOG_OPEN when the file cannot be opened for writing.
   */
  constructor(path: string) {
    this.path = path
    try {
      this.#descriptor = openSync(path, 'a+')
    } catch (cause) {
      const message = `event log: cannot open ${path} for writing (${(cause as Error).message})`
      throw new ResourceError('EVENT_LOG_OPEN', message, { path }, { cause })
    }
    try {
      this.#size = this.#repair()
    } catch (error) {
      closeSync(this.#descriptor)
      throw error
    }
  }

  /** Bytes of the whole records written so far, by this process and earlier ones. */
  get sizeBytes(): number {
    return this.#size
  }

  /**
   * Writes one record, with a single `write` as a rule; what that leaves out is written after it.
   *
   * @throws {ResourceError} EVENT_LOG_WRITE (disk full, I/O error). The log keeps its earlier records and can be
   *   appended to again; the event is lost.
   */
  append(event: RunEvent): void {
    const bytes = encodeEvent(event)
    try {
      if (!this.#clean) this.#undo()
      this.#clean = false
      writeFully(this.#descriptor, bytes)
      this.#clean = true
      this.#size += bytes.length
    } catch (cause) {
      try {
        this.#undo()
      } catch {
        // The half record stays until the next append cuts it off, or the next process does.
      }
      const message = `event log: cannot write to ${this.path} (${(cause as Error).message}); is the disk full?`
      throw new ResourceError('EVENT_LOG_WRITE', message, { path: this.path, event: event.type }, { cause })
    }
  }

  /**
   * Waits until the records are on the disk. Call at checkpoints; a crash of the process alone loses nothing.
   * @throws {ResourceError} EVENT_LOG_WRITE.
   */
  sync(): void {
    try {
      fsyncSync(this.#descriptor)
    } catch (cause) {
      const message = `event log: ${this.path} cannot be made durable (${(cause as Error).message}); is the disk full?`
      throw new ResourceError('EVENT_LOG_WRITE', message, { path: this.path }, { cause })
    }
  }

  /** Closes the file; may be called twice. */
  close(): void {
    if (this.#descriptor < 0) return
    closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #undo(): void {
    ftruncateSync(this.#descriptor, this.#size)
    this.#clean = true
  }

  /** Leaves only whole records in the file, the last one with its newline; returns their bytes. */
  #repair(): number {
    if (!fstatSync(this.#descriptor).isFile()) {
      throw new HostileFileError('EVENT_LOG_DAMAGED', `event log: expected a regular file at ${this.path}`, {
        path: this.path,
      })
    }
    const { torn, last } = scanEvents(this.#descriptor, this.path)
    if (torn !== null) ftruncateSync(this.#descriptor, torn.begin)
    const size = last === null ? 0 : last.end
    if (last === null || last.terminated) return size
    // The crash fell between the record and its newline: the record is whole, so it stays.
    writeFully(this.#descriptor, Buffer.from('\n'))
    return size + 1
  }
}
