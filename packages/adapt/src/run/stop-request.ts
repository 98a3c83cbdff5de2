import { readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { type StopSignals, watchStopSignals } from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'
import { ignoresSignal } from '../run-folder/index.js'
import { NpmParent } from './npm-parent.js'

/** SIGTERM and SIGUSR1 are how schedulers announce the end; SIGINT is Ctrl-C; SIGHUP comes when the terminal goes. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGHUP'] as const

/** As in the native handler: `timeout` and some runners of commands hand one signal on twice. */
const SAME_PRESS_MS = 20

/**
 * A request to stop, from the first of SIGINT, SIGTERM, SIGUSR1 and SIGHUP, or from the end of the npm that started us: save and
 * leave. A SIGINT after it means now: the process ends at once with 130. Node's handlers serve until the engine is there; from
 * then on a native one does, which a long call cannot hold up.
 */
export class StopRequest implements Disposable {
  private early: NodeJS.Signals | undefined
  private earlyAt = 0
  private native: StopSignals | undefined
  private readonly npm = NpmParent.find()
  private readonly signals = SIGNALS.filter((signal) => signal !== 'SIGHUP' || !isNohup())
  private readonly onSignal = (signal: NodeJS.Signals) => {
    if (this.early === undefined) {
      this.early = signal
      this.earlyAt = performance.now()
    } else if (signal === 'SIGINT' && performance.now() - this.earlyAt > SAME_PRESS_MS) {
      process.exit(EXIT.interrupted)
    }
  }

  constructor() {
    for (const signal of this.signals) process.on(signal, this.onSignal)
    if (!this.signals.includes('SIGHUP')) process.on('SIGHUP', ignore)
  }

  /** Hands over to the native handlers. Loads the engine. */
  watchNatively(): void {
    this.native ??= watchStopSignals(this.signals)
  }

  /** The signal that asked for the stop, if one did. */
  get signal(): NodeJS.Signals | undefined {
    return this.early ?? this.native?.received
  }

  /** What a user should know of how the process was started, if anything. */
  get warning(): string | undefined {
    if (this.npm?.kind !== 'npm' || process.stdin.isTTY === true) return undefined
    return (
      'npm started this process and hands not every signal on; in jobs and scripts start node_modules/.bin/adapt itself ' +
      '(docs/jobs.md)'
    )
  }

  get requested(): boolean {
    return this.signal !== undefined || this.npm?.isGone === true
  }

  /** @throws {AdaptError} INTERRUPTED, exit 75, when the run was asked to stop. */
  throwIfRequested(done: string): void {
    if (!this.requested) return
    const { signal } = this
    const why =
      signal === undefined ? `the ${this.npm?.kind} that started this process is gone` : `${signal} came`
    throw new AdaptError('INTERRUPTED', EXIT.resumable, `${why}; the run ended ${done}`, { signal })
  }

  [Symbol.dispose](): void {
    this.native?.[Symbol.dispose]()
    for (const signal of this.signals) process.off(signal, this.onSignal)
    process.off('SIGHUP', ignore)
  }
}

function ignore(): void {}

/**
 * Whether a hang-up is to be ignored, as `nohup` asks for. Node takes the signal back from nohup when it starts, so what nohup
 * leaves is looked at: the name that a shell notes in `_`, the file it writes to, or a parent that ignores the signal.
 */
function isNohup(): boolean {
  if (basename(process.env._ ?? '') === 'nohup') return true
  try {
    if (basename(readlinkSync('/proc/self/fd/1')) === 'nohup.out') return true
  } catch {
    // No /proc here.
  }
  return ignoresSignal(process.ppid, constants.signals.SIGHUP)
}
