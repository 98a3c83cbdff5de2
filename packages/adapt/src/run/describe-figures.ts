import { shownFigure, type TasksEvent } from '../record/index.js'

/** Figures of a line; the rest stands in the results. */
const MAX_FIGURES = 8

/** An evaluation of tasks in a line: averages of groups first, where there are too many figures. */
export function describeFigures({ figures, seconds }: TasksEvent): string {
  const groups = figures.filter(({ kind }) => kind === 'group')
  const ordered = figures.length > MAX_FIGURES ? [...new Set([...groups, ...figures])] : figures
  const shown = ordered.slice(0, MAX_FIGURES).map(({ alias, metric, filter, value }) => {
    return `${alias} ${metric}${filter === 'none' ? '' : `,${filter}`} ${shownFigure(value)}`
  })
  const more = figures.length - shown.length
  return `tasks ${shown.join('  ')}${more > 0 ? `  and ${more} more` : ''}  (${seconds.toFixed(1)} s)`
}
