import { resolve } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { ResourceError } from '../errors.js'
import { type RunEvent, TensorBoardWriter } from '../record/index.js'

/** Folder of a run's TensorBoard files. Absolute. */
export function tensorboardFolder(config: RunConfig): string {
  return resolve(config.training.logging_dir ?? resolve(config.output_dir, 'tensorboard'))
}

/**
 * The TensorBoard files of a run, when its config asks for them. They are a by-product: a write that fails is told
 * once and ends nothing.
 *
 * @example
 * using board = new TensorBoardLog(config, 0, console.warn)
 * board.append(record)
 */
export class TensorBoardLog implements Disposable {
  readonly #onWarning: (message: string) => void
  #writer: TensorBoardWriter | undefined
  #warned = false

  /**
   * @param startStep  Completed steps at which this process goes on; 0 for a new run.
   * @param onWarning  Told once when something could not be written.
   */
  constructor(config: RunConfig, startStep: number, onWarning: (message: string) => void) {
    this.#onWarning = onWarning
    if (!config.training.report_to.includes('tensorboard')) return
    this.#attempt(() => {
      this.#writer = new TensorBoardWriter(tensorboardFolder(config), { startStep })
    })
  }

  /** Never throws for a disk that is full or a folder that is gone. */
  append(event: RunEvent): void {
    this.#attempt(() => this.#writer?.append(event))
  }

  /** At checkpoints and at the end, so that a reader sees all steps so far. */
  flush(): void {
    this.#attempt(() => this.#writer?.flush())
  }

  /** Writes what is left; may be called twice. */
  close(): void {
    this.#attempt(() => this.#writer?.close())
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof ResourceError)) throw error
      if (!this.#warned) this.#onWarning(error.message)
      this.#warned = true
    }
  }
}
