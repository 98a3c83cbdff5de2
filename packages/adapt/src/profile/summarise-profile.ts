import { buildCallTree, type RecordedStep } from './call-tree.js'
import { partOf, TIME_KINDS, type TimeKind, timeKindOf } from './time-kinds.js'

/** Time of a part of the step, of a kind or of an operator over all recorded steps. */
export interface TimeShare {
  readonly name: string
  /** Microseconds in the thread that trains. */
  readonly us: number
  /** Of the wall time. */
  readonly share: number
}

/** A part of the step: everything within its region. */
export interface PartShare extends TimeShare {
  /** What JavaScript took of it, garbage collection included. */
  readonly javascriptUs: number
}

/** An operator; its time is that of its own, without the operators that it calls. */
export interface OperatorShare extends TimeShare {
  readonly kind: TimeKind
  readonly calls: number
  /** Of one call. */
  readonly meanUs: number
}

/** Where the time of some training steps went. Parts, and kinds, sum up to the wall time. */
export interface ProfileSummary {
  readonly firstStep: number
  readonly lastStep: number
  readonly numSteps: number
  readonly wallUs: number
  readonly parts: readonly PartShare[]
  readonly kinds: readonly TimeShare[]
  /** The longest first. */
  readonly operators: readonly OperatorShare[]
  /** Time of operators in threads of LibTorch's own, beside the wall time. */
  readonly elsewhereUs: number
  /** Events that found no room: their time is in what lies around them. */
  readonly dropped: number
}

/** What happens in none of the named parts. */
const NO_PART = 'other'

/** @param steps  At least one. */
export function summariseProfile(steps: readonly RecordedStep[]): ProfileSummary {
  const wallUs = steps.reduce((sum, step) => sum + step.wallUs, 0)
  const parts = new Map<string, { us: number; javascriptUs: number }>()
  const kinds = new Map<TimeKind, number>(TIME_KINDS.map((kind) => [kind, 0]))
  const operators = new Map<string, { kind: TimeKind; us: number; calls: number }>()
  const note = (part: string, kind: TimeKind, us: number) => {
    const found = parts.get(part) ?? { us: 0, javascriptUs: 0 }
    found.us += us
    if (kind === 'JavaScript' || kind === 'garbage collection') found.javascriptUs += us
    parts.set(part, found)
    kinds.set(kind, kinds.get(kind)! + us)
  }
  let elsewhereUs = 0
  for (const step of steps) {
    const { nodes, outsideUs } = buildCallTree(step)
    note(NO_PART, 'JavaScript', outsideUs)
    for (const node of nodes) {
      const kind = timeKindOf(node)
      note(partOf(node) ?? NO_PART, kind, node.selfUs)
      if (node.event.kind !== 'operator') continue
      // The same operator may do different work in different places.
      const key = `${node.event.name} ${kind}`
      const found = operators.get(key) ?? { kind, us: 0, calls: 0 }
      found.us += node.selfUs
      found.calls += 1
      operators.set(key, found)
    }
    for (const event of step.events)
      if (event.thread !== step.thread && event.kind === 'operator') elsewhereUs += event.durationUs
  }
  const byTime = <T extends TimeShare>(list: T[]) => list.sort((a, b) => b.us - a.us)
  return {
    firstStep: steps[0]!.step,
    lastStep: steps.at(-1)!.step,
    numSteps: steps.length,
    wallUs,
    parts: byTime([...parts].map(([name, part]) => ({ name, ...part, share: part.us / wallUs }))),
    kinds: byTime([...kinds].map(([name, us]) => ({ name, us, share: us / wallUs }))),
    operators: byTime(
      [...operators].map(([key, { kind, us, calls }]) => ({
        name: key.slice(0, -kind.length - 1),
        ...{ kind, us, share: us / wallUs, calls, meanUs: us / calls },
      })),
    ),
    elsewhereUs,
    dropped: steps.reduce((sum, { dropped }) => sum + dropped, 0),
  }
}
