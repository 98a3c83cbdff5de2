import type { TaskFigure } from '../record/index.js'
import type { MetricResult, TaskEvaluation } from './evaluate-tasks.js'

/** A row for each figure: tasks in their order, then groups. */
export function taskFigures({ tasks, groups, anchored }: TaskEvaluation): TaskFigure[] {
  const figure = ({ metric, filter, value, error, higherIsBetter }: MetricResult) => ({
    metric,
    filter,
    value,
    error: error ?? null,
    higherIsBetter,
  })
  return [
    ...tasks.flatMap(({ name, alias, numEvaluated, numFewShot, metrics }) =>
      metrics.map(
        (metric): TaskFigure => ({
          task: name,
          kind: 'task',
          alias,
          documents: numEvaluated,
          numFewShot,
          ...figure(metric),
          ...(anchored === undefined ? {} : { anchored: anchored.has(name) }),
        }),
      ),
    ),
    ...groups.flatMap(({ group, numEvaluated, metrics }) =>
      metrics.map(
        (metric): TaskFigure => ({
          task: group.name,
          kind: 'group',
          alias: group.alias,
          documents: numEvaluated,
          ...figure(metric),
        }),
      ),
    ),
  ]
}
