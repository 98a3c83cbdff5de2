import type { MethodEvent } from '../method/index.js'
import type { RunEvent } from './run-event.js'

/**
 * What a method says of itself, as a line of the event log: its own word is the type. Readers know some of them (`refresh`, `calibration`) and
 * let the others pass.
 *
 * @param time  Seconds since the epoch.
 */
export function methodEvent({ kind, step, fields }: MethodEvent, time: number): RunEvent {
  return { type: kind, step, time, ...fields } as unknown as RunEvent
}
