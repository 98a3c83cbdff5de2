import { closeSync, ftruncateSync, openSync, readdirSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { ResourceError } from '../errors.js'
import type { RunEvent } from './run-event.js'
import { fileVersionRecord, scalarsRecord, sessionStartRecord } from './tensorboard-format.js'
import { tensorboardScalars } from './tensorboard-scalars.js'

/** Where a {@link TensorBoardWriter} begins. */
export interface TensorBoardOptions {
  /** Completed steps at which this process goes on; 0 for a new run. What was logged after it is void. */
  readonly startStep: number
}

const FLUSH_BYTES = 1 << 16
const FLUSH_MS = 5000
const FILE_NAME = /^events\.out\.tfevents\.(\d+)\./

/**
 * Writes the figures of a run as a TensorBoard event file, one file per process. The folder keeps the files of
 * earlier processes; a reader drops what they say of the steps that this one does again.
 *
 * The file is a by-product: after an error what could not be written is lost, the file ends with a whole record,
 * and later events are written again when there is room.
 */
export class TensorBoardWriter {
  /** The event file. */
  readonly path: string
  #descriptor: number
  /** Bytes of whole records in the file. */
  #size = 0
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #lastFlush = performance.now()

  /**
   * @param folder  Made when absent.
   * @throws {ResourceError} TENSORBOARD_WRITE when the folder or file cannot be made.
   */
  constructor(folder: string, { startStep }: TensorBoardOptions) {
    const time = Date.now() / 1000
    try {
      makeFolder(folder)
      this.path = join(folder, fileName(folder, time))
      this.#descriptor = openSync(this.path, 'wx')
    } catch (cause) {
      throw failure(folder, cause)
    }
    this.#add(fileVersionRecord(time))
    // A new run replaces all; a resumed one keeps the figures of the step that it goes on from.
    this.#add(sessionStartRecord(time, startStep === 0 ? 0 : startStep + 1))
    try {
      this.flush()
    } catch (error) {
      closeSync(this.#descriptor)
      throw error
    }
  }

  /**
   * Buffers the figures of an event; events without figures are ignored.
   *
   * @throws {ResourceError} TENSORBOARD_WRITE when the buffer was due and could not be written.
   */
  append(event: RunEvent): void {
    const scalars = tensorboardScalars(event)
    if (scalars.length === 0) return
    this.#add(scalarsRecord(event.time, event.step, scalars))
    // A process that goes on from the checkpoint before an evaluation does not repeat it, so it must not be lost.
    const isDue = this.#pendingBytes >= FLUSH_BYTES || performance.now() - this.#lastFlush >= FLUSH_MS
    if (isDue || event.type === 'evaluation' || event.type === 'tasks') this.flush()
  }

  /** Writes what is buffered. @throws {ResourceError} TENSORBOARD_WRITE; what was buffered is lost. */
  flush(): void {
    const bytes = Buffer.concat(this.#pending)
    this.#pending = []
    this.#pendingBytes = 0
    this.#lastFlush = performance.now()
    if (bytes.length === 0 || this.#descriptor < 0) return
    try {
      // By position: bytes of an earlier write that failed half-way are written over.
      let at = 0
      while (at < bytes.length)
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, this.#size + at)
      this.#size += bytes.length
    } catch (cause) {
      try {
        ftruncateSync(this.#descriptor, this.#size)
      } catch {
        // A reader skips the torn record at the end, and the next write goes over it.
      }
      throw failure(this.path, cause)
    }
  }

  /** Flushes and closes; may be called twice. @throws {ResourceError} TENSORBOARD_WRITE */
  close(): void {
    try {
      this.flush()
    } finally {
      if (this.#descriptor >= 0) closeSync(this.#descriptor)
      this.#descriptor = -1
    }
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #add(record: Uint8Array): void {
    this.#pending.push(record)
    this.#pendingBytes += record.length
  }
}

/** Readers take the files in the order of their names, so a later file never gets an earlier second. */
function fileName(folder: string, time: number): string {
  const earlier = readdirSync(folder).map((name) => Number(FILE_NAME.exec(name)?.[1] ?? 0))
  const second = earlier.reduce((most, value) => Math.max(most, value + 1), Math.floor(time))
  const host = hostname().replace(/[^\w-]/g, '_')
  return `events.out.tfevents.${String(second).padStart(10, '0')}.${host}.${process.pid}.v2`
}

function failure(path: string, cause: unknown): ResourceError {
  const message = `TensorBoard: cannot write to ${path} (${(cause as Error).message}); the run does not depend on it`
  return new ResourceError('TENSORBOARD_WRITE', message, { path }, { cause })
}
