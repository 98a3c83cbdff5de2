import { type StopSignals, watchStopSignals } from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'

/** SIGTERM and SIGUSR1 are how schedulers announce the end; SIGINT is Ctrl-C. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const

/**
 * A request to stop, from the first of SIGINT, SIGTERM and SIGUSR1: save and leave. A SIGINT after it means now: the process
 * ends at once with 130. Node's handlers serve until the engine is there; from then on a native one does, which
 * a long call cannot hold up.
 */
export class StopRequest implements Disposable {
  private early: NodeJS.Signals | undefined
  private native: StopSignals | undefined
  private readonly onSignal = (signal: NodeJS.Signals) => {
    if (this.early !== undefined && signal === 'SIGINT') process.exit(EXIT.interrupted)
    this.early ??= signal
  }

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.onSignal)
  }

  /** Hands over to the native handlers. Loads the engine. */
  watchNatively(): void {
    this.native ??= watchStopSignals(SIGNALS)
  }

  /** The signal that asked for the stop, if one did. */
  get signal(): NodeJS.Signals | undefined {
    return this.early ?? this.native?.received
  }

  get requested(): boolean {
    return this.signal !== undefined
  }

  /** @throws {AdaptError} INTERRUPTED, exit 75, when the run was asked to stop. */
  throwIfRequested(done: string): void {
    if (!this.requested) return
    throw new AdaptError('INTERRUPTED', EXIT.resumable, `${this.signal} came; the run ended ${done}`, {
      signal: this.signal,
    })
  }

  [Symbol.dispose](): void {
    this.native?.[Symbol.dispose]()
    for (const signal of SIGNALS) process.off(signal, this.onSignal)
  }
}
