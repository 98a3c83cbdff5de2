import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { LEDGER, listParts, partName } from './ledger-parts.js'
import type { SampleRecord } from './step-record.js'
import { TableWriter, writeError } from './table-writer.js'

const MAX_ROWS_PER_PART = 65_536
const MAX_INT32 = 2 ** 31 - 1

/** Options of a {@link LedgerWriter}. */
export interface LedgerOptions {
  /** Rank of the process in a distributed run. Default 0. */
  readonly rank?: number
  /** A part is written when it would get more rows than this; a step is never split. Default 65,536. */
  readonly maxRowsPerPart?: number
}

/**
 * Writes what every sample got in every step to `part-<first>-<last>-r<rank>.parquet` files. Rows are buffered in
 * typed arrays (32 bytes a row) until `flush`; a part is on the disk whole or not at all.
 *
 * @example
 * using ledger = new LedgerWriter('runs/first/ledger')
 * ledger.append(record.step, events.totals.samples)
 */
export class LedgerWriter implements Disposable {
  readonly folder: string
  readonly #rank: number
  readonly #maxRows: number
  #buffer = new RowBuffer(1024)
  /** The last step that is in a part or in the buffer. */
  #lastStep: number
  #isOpen = true

  /**
   * Creates the folder, or goes on after the parts that it holds.
   *
   * @throws {ResourceError} LEDGER_WRITE when it cannot be created. @throws {HostileFileError} LEDGER_DAMAGED.
   */
  constructor(folder: string, { rank = 0, maxRowsPerPart = MAX_ROWS_PER_PART }: LedgerOptions = {}) {
    this.folder = folder
    this.#rank = rank
    this.#maxRows = maxRowsPerPart
    this.#makeFolder()
    const own = listParts(folder).filter((part) => part.rank === rank)
    this.#lastStep = own.reduce((last, part) => Math.max(last, part.lastStep), 0)
  }

  #makeFolder(): void {
    try {
      makeFolder(this.folder)
    } catch (error) {
      throw writeError(LEDGER, this.folder, error)
    }
  }

  /** Rows that are not yet in a part. */
  get bufferedRows(): number {
    return this.#buffer.length
  }

  /**
   * Adds the samples of a completed step. Cheap, but for the steps that fill a part.
   *
   * @param step  Completed steps, as in `StepRecord`; larger than that of any row before.
   * @throws {RangeError} for a step or a number that a column cannot hold.
   * @throws {ResourceError} LEDGER_WRITE; the rows before this step stay buffered.
   */
  append(step: number, samples: readonly SampleRecord[]): void {
    if (!this.#isOpen) throw new Error('the ledger is closed')
    if (!(Number.isInteger(step) && step > this.#lastStep && step <= MAX_INT32)) {
      throw new RangeError(`ledger: expected a step after ${this.#lastStep}, received ${step}`)
    }
    const rows = this.#buffer.length
    if (rows > 0 && rows + samples.length > this.#maxRows) this.flush()
    this.#buffer.add(step, samples)
    this.#lastStep = step
  }

  /**
   * Writes the buffered rows to a part and waits until it is on the disk. Nothing to write is no part.
   *
   * @throws {ResourceError} LEDGER_WRITE; the rows stay buffered, so that it can be tried again.
   */
  flush(): void {
    const { step, sample, source, score, weight, sampleWeight, loss, tokens } = this.#buffer.rows()
    if (step.length === 0) return
    const name = partName(step[0]!, step.at(-1)!, this.#rank)
    // A checkpoint waits for its records: a folder that someone removed must not keep every later one from being saved.
    this.#makeFolder()
    const table = new TableWriter(join(this.folder, name), LEDGER)
    table.write({ step, sample, source, score, weight, sample_weight: sampleWeight, loss, tokens })
    table.publish()
    this.#buffer.clear()
  }

  /** Flushes. May be called twice. */
  close(): void {
    if (!this.#isOpen) return
    this.flush()
    this.#isOpen = false
  }

  /** Closes, as at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** Columns that grow by doubling. */
class RowBuffer {
  length = 0
  #capacity: number
  #source: string[] = []
  #step: Int32Array
  #sample: Int32Array
  #tokens: Int32Array
  #score: Float32Array
  #weight: Float32Array
  #sampleWeight: Float32Array
  #loss: Float32Array

  constructor(capacity: number) {
    this.#capacity = capacity
    const ints = () => new Int32Array(capacity)
    const floats = () => new Float32Array(capacity)
    ;[this.#step, this.#sample, this.#tokens] = [ints(), ints(), ints()]
    ;[this.#score, this.#weight, this.#sampleWeight, this.#loss] = [floats(), floats(), floats(), floats()]
  }

  add(step: number, samples: readonly SampleRecord[]): void {
    for (const { index, tokens } of samples) {
      // A typed array would wrap what does not fit.
      if (!(isInt32(index) && isInt32(tokens))) {
        throw new RangeError(
          `ledger: expected int32 values >= 0, received sample ${index} with ${tokens} tokens`,
        )
      }
    }
    while (this.length + samples.length > this.#capacity) this.#grow()
    let at = this.length
    for (const { index, source, score, weight, sampleWeight, loss, tokens } of samples) {
      this.#step[at] = step
      this.#sample[at] = index
      this.#source[at] = source
      this.#score[at] = score
      this.#weight[at] = weight
      this.#sampleWeight[at] = sampleWeight
      this.#loss[at] = loss
      this.#tokens[at] = tokens
      at++
    }
    this.length = at
  }

  rows() {
    const { length } = this
    return {
      step: this.#step.subarray(0, length),
      sample: this.#sample.subarray(0, length),
      source: this.#source,
      score: this.#score.subarray(0, length),
      weight: this.#weight.subarray(0, length),
      sampleWeight: this.#sampleWeight.subarray(0, length),
      loss: this.#loss.subarray(0, length),
      tokens: this.#tokens.subarray(0, length),
    }
  }

  clear(): void {
    this.length = 0
    this.#source = []
  }

  #grow(): void {
    this.#capacity *= 2
    const grown = <T extends Int32Array | Float32Array>(old: T, fresh: T): T => {
      fresh.set(old)
      return fresh
    }
    const ints = (old: Int32Array) => grown(old, new Int32Array(this.#capacity))
    const floats = (old: Float32Array) => grown(old, new Float32Array(this.#capacity))
    this.#step = ints(this.#step)
    this.#sample = ints(this.#sample)
    this.#tokens = ints(this.#tokens)
    this.#score = floats(this.#score)
    this.#weight = floats(this.#weight)
    this.#sampleWeight = floats(this.#sampleWeight)
    this.#loss = floats(this.#loss)
  }
}

function isInt32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_INT32
}
