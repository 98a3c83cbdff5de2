import { constants } from 'node:os'
import { rethrow } from './errors.js'
import { engine } from './native.js'

/**
 * Signals taken over from Node, so that they are noticed during a native call too. The first one is kept; a SIGINT
 * more than 20 ms after it ends the process at once with exit code 130. One watch per process: it is process-wide state.
 *
 * @example
 * using stop = watchStopSignals(['SIGINT', 'SIGTERM'])
 * while (stop.received === undefined) step()
 */
export function watchStopSignals(signals: readonly NodeJS.Signals[]): StopSignals {
  const { native } = engine()
  try {
    for (const signal of signals) native.watchStopSignal(constants.signals[signal])
  } catch (error) {
    native.unwatchStopSignals()
    rethrow(error, 'watchStopSignals')
  }
  return {
    get received() {
      const number = native.stopSignal()
      return number === 0 ? undefined : signals.find((signal) => constants.signals[signal] === number)
    },
    [Symbol.dispose]: () => native.unwatchStopSignals(),
  }
}

/** A running watch; disposing it gives the signals back to Node. */
export interface StopSignals extends Disposable {
  /** The first signal that came, if any. */
  readonly received: NodeJS.Signals | undefined
}
