import type { MethodEvent } from './contract.js'

/** What a part has to tell, until it is asked. */
export class EventList {
  private events: MethodEvent[] = []

  /** Adds one. */
  add(event: MethodEvent): void {
    this.events.push(event)
  }

  /** All since it was last asked, in order: a part's `takeEvents`. */
  readonly take = (): readonly MethodEvent[] => this.events.splice(0)
}
