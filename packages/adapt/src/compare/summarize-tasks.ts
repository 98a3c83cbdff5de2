import { createHash } from 'node:crypto'
import { headlineFigures, type RunEvent } from '../record/index.js'
import { readTaskSamples, tasksFolder } from '../run-report/index.js'
import type { CellTask } from './cell-record.js'

/** The last evaluation of tasks of a run: the share of right answers of each, and which of its documents the model had right. */
export function summarizeTasks(folder: string, events: readonly RunEvent[]): CellTask[] {
  const last = events.findLast((event) => event.type === 'tasks')
  if (last === undefined) return []
  return headlineFigures(last.figures)
    .filter(({ value }) => Number.isFinite(value))
    .map(({ task, alias, metric, filter, documents, value, error, anchored }) => {
      const answers = answersOf(tasksFolder(folder, last.step), task, metric, filter)
      return {
        ...{ task, alias, metric, filter, documents, value, error },
        ...(anchored === undefined ? {} : { anchored }),
        ...(answers === undefined ? {} : { answers }),
      }
    })
}

/** Undefined where the samples are gone, or an answer is neither right nor wrong. */
function answersOf(folder: string, task: string, metric: string, filter: string): CellTask['answers'] {
  const hash = createHash('sha256')
  let right = ''
  for (const sample of readTaskSamples(folder, task)) {
    if (sample.filter !== filter) continue
    const value = sample[metric]
    if (value !== 0 && value !== 1) return undefined
    hash.update(`${sample.doc_hash}\n`)
    right += value
  }
  return right === '' ? undefined : { documents: hash.digest('hex'), right }
}
