import { AdaptError, EXIT } from '../errors.js'

/** Listens for SIGINT and SIGTERM while a run is on: the first asks for an orderly end, the second leaves at once. */
export class StopRequest {
  requested = false
  private readonly onSignal = () => {
    if (this.requested) process.exit(EXIT.interrupted)
    this.requested = true
  }

  constructor() {
    process.on('SIGINT', this.onSignal)
    process.on('SIGTERM', this.onSignal)
  }

  /** @throws {AdaptError} INTERRUPTED, exit 130, when the run was asked to stop. */
  throwIfRequested(step: number, folder: string): void {
    if (!this.requested) return
    throw new AdaptError(
      'INTERRUPTED',
      EXIT.interrupted,
      `stopped on request after step ${step}; the model so far is in ${folder}/model`,
    )
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.onSignal)
    process.off('SIGTERM', this.onSignal)
  }
}
