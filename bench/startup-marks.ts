/** Loaded before the program that `bench:startup` measures: writes the marks of its user timing to descriptor 3 when it ends. */
import { writeSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

export interface StartMarks {
  /** When the process began, in ms of the system's clock. */
  readonly origin: number
  /** Milliseconds after that, by name; `node` when the first line of a program ran. */
  readonly marks: Readonly<Record<string, number>>
}

performance.mark('node')
process.on('exit', () => {
  // Threads of the program load this too.
  if (!isMainThread) return
  const marks: Record<string, number> = {}
  // The first of each name: a run may be part of another.
  for (const { name, startTime } of performance.getEntriesByType('mark')) marks[name] ??= startTime
  writeSync(3, JSON.stringify({ origin: performance.timeOrigin, marks } satisfies StartMarks))
})
