import type { RecordedStep } from './call-tree.js'
import type { ProfileSummary } from './summarise-profile.js'

/**
 * The recorded steps as a file that chrome://tracing and Perfetto open, with the summary beside the events.
 * @see Trace Event Format, "Complete Events": times in microseconds.
 */
export function chromeTrace(
  steps: readonly RecordedStep[],
  summary: ProfileSummary,
  facts: Readonly<Record<string, unknown>> = {},
): string {
  const pid = process.pid
  const zeroMs = steps[0]!.startMs
  const threads = [...new Set(steps.flatMap(({ events }) => events.map(({ thread }) => thread)))]
  const nameOf = (thread: number) => (steps.some((step) => step.thread === thread) ? 'training' : 'LibTorch')
  const lines = [
    ...threads.map((tid) => ({
      ...{ name: 'thread_name', ph: 'M', pid, tid },
      args: { name: nameOf(tid) },
    })),
    ...steps.flatMap(({ step, startMs, wallUs, thread, events }) => {
      const offsetUs = (startMs - zeroMs) * 1000
      const complete = (name: string, cat: string, tid: number, startUs: number, durationUs: number) => ({
        ...{ name, cat, ph: 'X', pid, tid },
        ts: Number((offsetUs + startUs).toFixed(3)),
        dur: Number(durationUs.toFixed(3)),
      })
      return [
        complete(`step ${step}`, 'step', thread, 0, wallUs),
        ...events.map(({ name, kind, thread: tid, startUs, durationUs }) =>
          complete(name, kind, tid, startUs, durationUs),
        ),
      ]
    }),
  ]
  // An event a line: a file that tools of lines can search too.
  const events = lines.map((line) => JSON.stringify(line)).join(',\n')
  return `{"displayTimeUnit":"ms","otherData":${JSON.stringify({ ...facts, summary })},\n"traceEvents":[\n${events}\n]}\n`
}
