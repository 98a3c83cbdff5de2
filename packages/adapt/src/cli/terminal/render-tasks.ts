import { averageTasks, shownFigure, type TaskFigure } from '../../record/index.js'
import { formatCount, renderTable } from './render-table.js'

/** A row a metric: tasks in their order, then groups, then averages over the tasks. */
export function renderTasks(figures: readonly TaskFigure[]): string {
  const number = (heading: string) => ({ heading, isNumeric: true })
  const isMarked = figures.some(({ anchored }) => anchored !== undefined)
  const columns = [
    ...[{ heading: 'task', canShorten: false }, number('n-shot'), number('documents'), { heading: 'metric' }],
    ...[{ heading: 'better' }, number('value'), number('stderr'), { heading: 'filter' }],
    ...(isMarked ? [{ heading: 'anchors' }] : []),
  ]
  const rows = figures.map((figure, i) => {
    const { task, kind, alias, documents, numFewShot, metric, filter, value, error, anchored } = figure
    const previous = figures[i - 1]
    const isFirst = previous?.task !== task || previous.kind !== kind
    return [
      ...(isFirst ? [alias, String(numFewShot ?? ''), formatCount(documents)] : ['', '', '']),
      ...[
        metric,
        figure.higherIsBetter ? 'higher' : 'lower',
        shownFigure(value),
        error === null ? '-' : shownFigure(error),
        filter,
      ],
      ...(isMarked ? [!isFirst || anchored === undefined ? '' : anchored ? 'anchored' : 'unseen'] : []),
    ]
  })
  const averages = averageTasks(figures).map(({ name, metric, tasks, documents, value, error }) => [
    ...[`${name} (${formatCount(tasks)} ${tasks === 1 ? 'task' : 'tasks'})`, '', formatCount(documents)],
    ...[metric, 'higher', value.toFixed(4), error?.toFixed(4) ?? '-', ''],
    ...(isMarked ? [''] : []),
  ])
  return renderTable(columns, [...rows, ...averages])
}
