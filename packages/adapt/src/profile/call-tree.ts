import type { RecordedEvent, Recording } from '@adapt-ts/torch'

/** Something that took time, and what lay within it. */
export interface CallNode {
  readonly event: TimedEvent
  readonly parent: CallNode | undefined
  /** Time that none of what lies within it took, microseconds. */
  selfUs: number
}

/** An event of the engine, or a garbage collection of JavaScript in its thread. */
export type TimedEvent = Omit<RecordedEvent, 'kind'> & { readonly kind: RecordedEvent['kind'] | 'gc' }

/** One recording with the garbage collections within it. */
export interface RecordedStep extends Omit<Recording, 'events'> {
  readonly step: number
  readonly events: readonly TimedEvent[]
}

/**
 * The events of the recorded thread, each with the one around it and the time of its own. The times of their own and what is returned as
 * `outsideUs`, the time outside of all of them, sum up to the wall time.
 */
export function buildCallTree({ events, thread, wallUs }: RecordedStep): {
  readonly nodes: readonly CallNode[]
  readonly outsideUs: number
} {
  const nodes: CallNode[] = []
  const open: { node: CallNode; endUs: number }[] = []
  let outsideUs = wallUs
  for (const event of events) {
    if (event.thread !== thread) continue
    while (open.length > 0 && open.at(-1)!.endUs <= event.startUs) open.pop()
    const around = open.at(-1)
    // Only a collection, which another clock timed, may hang over.
    const endUs = Math.min(event.startUs + event.durationUs, around?.endUs ?? wallUs)
    const durationUs = Math.max(0, endUs - event.startUs)
    const node = { event, parent: around?.node, selfUs: durationUs }
    if (around) around.node.selfUs -= durationUs
    else outsideUs -= durationUs
    nodes.push(node)
    open.push({ node, endUs })
  }
  return { nodes, outsideUs }
}

/** Events in the order of their starts, with collections between them; one that began outside of the recording is cut to it. */
export function withCollections(
  { events, thread, startMs, wallUs }: Recording,
  collections: readonly { readonly startTime: number; readonly duration: number }[],
): TimedEvent[] {
  const found = collections.flatMap(({ startTime, duration }): TimedEvent[] => {
    const startUs = Math.max(0, (startTime - startMs) * 1000)
    const endUs = Math.min(wallUs, (startTime + duration - startMs) * 1000)
    return endUs > startUs
      ? [{ name: 'garbage collection', kind: 'gc', thread, startUs, durationUs: endUs - startUs }]
      : []
  })
  if (found.length === 0) return [...events]
  // Stable: of events that begin together, the outer one stays first.
  return [...events, ...found].sort((a, b) => a.startUs - b.startUs)
}
