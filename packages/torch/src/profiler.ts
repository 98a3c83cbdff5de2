import { rethrow } from './errors.js'
import { engine } from './native.js'

/** In the order of the add-on's `SpanKind`. */
const KINDS = ['operator', 'backward', 'call', 'region', 'allocator'] as const

/**
 * An operator of LibTorch, a node of its backward graph, a call from JavaScript to the add-on, a region that `region` named, or an
 * allocation of the CPU's allocator.
 */
export type RecordedKind = (typeof KINDS)[number]

/** Something that took time. Events of one thread nest: each lies within another or beside it. */
export interface RecordedEvent {
  /** `aten::mm`, `MmBackward0`, the name of a region ... */
  readonly name: string
  readonly kind: RecordedKind
  /** A number of LibTorch. */
  readonly thread: number
  /** Microseconds since the start of the recording. */
  readonly startUs: number
  readonly durationUs: number
}

/** What one thread did between `startRecording` and `stopRecording`. */
export interface Recording {
  /** Of each thread in the order in which they began. */
  readonly events: readonly RecordedEvent[]
  /** The thread that was recorded; others are those of LibTorch's backward on a device. */
  readonly thread: number
  /** `performance.now()` at the start. */
  readonly startMs: number
  readonly wallUs: number
  /** Events that found no room: more than a million were there. */
  readonly dropped: number
}

let startMs: number | undefined
/** Counts recordings, so that a region that outlives its own does not end one of the next. */
let session = 0

/**
 * Records from now on what this thread does in LibTorch: every operator, those of backward too, and the time between. Slows each of them
 * by a fraction of a microsecond. While no recording is on, LibTorch has nobody to call and nothing is slower.
 *
 * On a device that works while the host goes on, the times are those of the calls, not of the work.
 *
 * @throws {TorchError} PROFILER_BUSY while one is on, in any thread of the process.
 */
export function startRecording(): void {
  try {
    engine().native.startRecording()
  } catch (error) {
    rethrow(error, 'startRecording')
  }
  session += 1
  startMs = performance.now()
}

/**
 * Ends the recording; what is still open ends with it.
 * @throws {TorchError} NOT_RECORDING
 */
export function stopRecording(): Recording {
  try {
    const { names, events, thread, wallUs, dropped } = engine().native.stopRecording()
    const recorded = Array.from({ length: events.length / 5 }, (_, i): RecordedEvent => {
      const [name, kind, owner, startUs, durationUs] = events.subarray(5 * i, 5 * i + 5)
      return {
        name: names[name!]!,
        kind: KINDS[kind!]!,
        thread: owner!,
        startUs: startUs!,
        durationUs: durationUs!,
      }
    })
    return { events: recorded, thread, startMs: startMs!, wallUs, dropped }
  } catch (error) {
    return rethrow(error, 'stopRecording')
  } finally {
    startMs = undefined
  }
}

/** Whether this environment records. */
export function isRecording(): boolean {
  return startMs !== undefined
}

/** Runs `fn` and gives its time a name in the recording, if one is on. `fn` must be synchronous. */
export function region<T>(name: string, fn: () => T): T {
  if (startMs === undefined) return fn()
  const { native } = engine()
  const own = session
  const index = native.beginRegion(name)
  try {
    return fn()
  } finally {
    if (index >= 0 && isRecording() && own === session) native.endRegion(index)
  }
}
