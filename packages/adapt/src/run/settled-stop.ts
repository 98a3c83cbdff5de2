import { AdaptError, EXIT } from '../errors.js'
import type { StopRequest } from './stop-request.js'
import type { World } from './world.js'

/**
 * A request to stop as all ranks of a run see it. A signal reaches them at different moments, so they agree on it between two steps; a process
 * alone sees it at once.
 */
export class SettledStop {
  private settled = false

  constructor(
    private readonly own: StopRequest,
    private readonly world: World,
  ) {}

  /** The same on every rank. */
  get requested(): boolean {
    return this.world.worldSize === 1 ? this.own.requested : this.settled
  }

  /** Brings together what the ranks were asked; every rank must call it. */
  settle(): void {
    if (this.world.worldSize > 1) this.settled ||= this.world.any(this.own.requested)
  }

  /** @throws {AdaptError} INTERRUPTED, exit 75, when the run was asked to stop. */
  throwIfRequested(done: string): void {
    if (!this.requested) return
    this.own.throwIfRequested(done)
    throw new AdaptError(
      'INTERRUPTED',
      EXIT.resumable,
      `another rank was asked to stop; the run ended ${done}`,
    )
  }
}
