import { averageParts } from '../statistics/index.js'
import type { TaskFigure } from './run-event.js'

/** An average over tasks of the figure that stands for each. */
export interface TaskAverage {
  /**
   * `macro`: each task alike; `micro`: by documents; `anchored`, `unseen`: each alike, of the tasks whose data the anchors share
   * and of the others.
   */
  readonly name: 'macro' | 'micro' | 'anchored' | 'unseen'
  /** What is averaged; several names where the tasks differ. */
  readonly metric: string
  readonly tasks: number
  readonly documents: number
  readonly value: number
  /** Standard error over documents; null where a task has none. */
  readonly error: number | null
}

/** Metrics that are shares of right answers: those of different tasks can be averaged. */
const SHARES = new Set(['acc', 'acc_norm', 'acc_bytes', 'acc_mutual_info', 'exact_match'])

/** The figure that stands for each task: its first one that is a share of right answers. Tasks without one are left out. */
export function headlineFigures(figures: readonly TaskFigure[]): TaskFigure[] {
  const first = new Map<string, TaskFigure>()
  for (const figure of figures) {
    if (figure.kind === 'task' && SHARES.has(figure.metric) && !first.has(figure.task))
      first.set(figure.task, figure)
  }
  return [...first.values()]
}

/** Averages over tasks; none for a single task. Those of anchored and unseen tasks where it is known which are which. */
export function averageTasks(figures: readonly TaskFigure[]): TaskAverage[] {
  const headlines = headlineFigures(figures)
  if (headlines.length < 2) return []
  const anchored = headlines.filter((figure) => figure.anchored === true)
  const unseen = headlines.filter((figure) => figure.anchored === false)
  return [
    average('macro', headlines),
    average('micro', headlines),
    ...(anchored.length > 0 ? [average('anchored', anchored)] : []),
    ...(unseen.length > 0 ? [average('unseen', unseen)] : []),
  ]
}

function average(name: TaskAverage['name'], figures: readonly TaskFigure[]): TaskAverage {
  const parts = figures.map(({ value, error, documents }) => ({
    value,
    error: error ?? undefined,
    size: documents,
  }))
  const { value, error } = averageParts(parts, name === 'micro')
  return {
    name,
    metric: [...new Set(figures.map(({ metric }) => metric))].join(', '),
    tasks: figures.length,
    documents: parts.reduce((sum, { size }) => sum + size, 0),
    value,
    error: error ?? null,
  }
}
