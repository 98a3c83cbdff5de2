/** A figure of the anchor set and what it says. */
export interface Verdict {
  readonly name: string
  readonly value: number
  /** `ok`, advice, or empty where a figure has no threshold. */
  readonly verdict: string
}

type Judge = (value: number, set: { readonly numAnchors: number; readonly centered: boolean }) => string

/** What is judged. */
export interface JudgedAnchors {
  readonly diagnostics: Readonly<Record<string, number>>
  readonly numAnchors: number
  readonly centered: boolean
  readonly tasks: readonly { readonly task: string; readonly anchors: number }[]
}

// 0.9 for the halves and 0.5 for the separation come from the definition of the figures (docs/methods/anchors.md);
// the other bounds are ours.
const JUDGES: Readonly<Record<string, Judge>> = {
  resultantLength: (value, { numAnchors }) =>
    numAnchors < 2 ? '' : value > 0.95 ? 'all alike' : value < 0.1 ? 'scattered' : 'ok',
  participationRatio: (value, { numAnchors }) =>
    numAnchors < 2 ? '' : numAnchors > 3 && value < 2 ? 'redundant' : 'ok',
  splitHalfReliability: (value) => (value < 0.9 ? 'add anchors' : 'ok'),
  separationAuc: (value) => (value < 0.45 ? 'inverted' : value < 0.55 ? 'no signal' : 'ok'),
  anisotropy: (value, { centered }) => (value > 0.5 && !centered ? 'set center' : 'ok'),
}

/** Every figure with its verdict; the length of one task is judged as that of all. One anchor alone says nothing. */
export function judgeAnchors(set: JudgedAnchors): Verdict[] {
  return Object.entries(set.diagnostics).map(([name, value]) => {
    const [figure, ...rest] = name.split('.')
    const task = set.tasks.find((candidate) => candidate.task === rest.join('.'))
    const judge = JUDGES[figure!]
    const judged = rest.length > 0 && task !== undefined ? { ...set, numAnchors: task.anchors } : set
    return { name, value, verdict: judge === undefined ? '' : judge(value, judged) }
  })
}
