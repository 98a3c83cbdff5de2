import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { CausalLM } from '../model/index.js'
import type { TaskFigure } from '../record/index.js'
import { averageParts } from '../statistics/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import { aggregate, requireAggregation, standardError } from './aggregate.js'
import { type AskOptions, askModel } from './ask-model.js'
import {
  countPositions,
  type EncodedRequests,
  type EncodeOptions,
  encodeRequests,
} from './encode-requests.js'
import { filtersOf } from './filter-answers.js'
import type { SelectedGroup, TaskSelection } from './find-tasks.js'
import { type MetricValue, metricsOf, type TaskResponse } from './metrics.js'
import {
  type PreparedTask,
  type PrepareTaskOptions,
  prepareTask,
  requireGold,
  type TaskItem,
  type TaskRequest,
} from './prepare-task.js'
import type { Task } from './read-task-file.js'

/** A figure of a task or group. */
export interface MetricResult {
  readonly metric: string
  /** Steps from what the model wrote to what was compared; `none` without any. */
  readonly filter: string
  readonly value: number
  /** Standard error; undefined where there is none. */
  readonly error: number | undefined
  readonly higherIsBetter: boolean
}

/** What one document gave. */
export interface SampleResult {
  readonly item: TaskItem
  readonly responses: readonly TaskResponse[]
  readonly filter: string
  /** What the filter made of the responses, which is compared. */
  readonly filtered: readonly TaskResponse[]
  readonly values: Readonly<Record<string, MetricValue>>
}

/** What a task gave. */
export interface TaskResult {
  readonly task: Task
  readonly name: string
  readonly alias: string
  readonly numFewShot: number
  /** Documents of the split, and those that were evaluated. */
  readonly numDocuments: number
  readonly numEvaluated: number
  /** Requests whose context was longer than the window. */
  readonly numTruncated: number
  readonly metrics: readonly MetricResult[]
  readonly samples: readonly SampleResult[]
}

/** A task whose requests are in tokens already. */
export interface EncodedTask extends PreparedTask {
  readonly encoded: EncodedRequests
}

/** Figures of a group that its file asks for. */
export interface GroupResult {
  readonly group: SelectedGroup
  readonly numEvaluated: number
  readonly metrics: readonly MetricResult[]
}

/** Results of tasks and groups in the order in which they were asked for. */
export interface TaskEvaluation {
  readonly tasks: readonly TaskResult[]
  readonly groups: readonly GroupResult[]
  /** Names of the tasks whose data the anchors share; absent where no anchors are known. */
  readonly anchored?: ReadonlySet<string>
}

/** How tasks are prepared and asked. */
export interface EvaluateTasksOptions extends Omit<AskOptions, 'onProgress' | 'seed'>, PrepareTaskOptions {
  /** Samples of a bootstrap. Default 100,000; 0: no standard errors. */
  readonly bootstrapIterations?: number
  readonly onProgress?: (task: string, done: number, total: number) => void
}

/** What the tasks need, read and built before a model is loaded: what is wrong with a file is said at once. */
export async function prepareTasks(
  selection: TaskSelection,
  options: PrepareTaskOptions,
): Promise<readonly PreparedTask[]> {
  const prepared: PreparedTask[] = []
  for (const task of selection.tasks) {
    const found = await prepareTask(task, options)
    for (const item of found.items) requireGold(item, task)
    checkMetrics(found, options.onLine)
    prepared.push(found)
  }
  for (const group of selection.groups) checkAggregates(group, selection.tasks)
  return prepared
}

/** Asks a model all of the prepared tasks, one after another. @throws what `askModel` throws. */
export async function evaluateTasks(
  model: CausalLM,
  tokenizer: Tokenizer,
  {
    selection,
    prepared,
  }: {
    readonly selection: TaskSelection
    readonly prepared: readonly (PreparedTask | EncodedTask)[]
  },
  options: EvaluateTasksOptions,
): Promise<TaskEvaluation> {
  const tasks: TaskResult[] = []
  for (const one of prepared) {
    const requests = requestsOf(one)
    const encoded = 'encoded' in one ? one.encoded : await encodeRequests(tokenizer, requests, options)
    const { responses, numTruncated } = await askModel(
      model,
      tokenizer,
      { requests, encoded },
      {
        ...options,
        onProgress: (done, total) => options.onProgress?.(one.task.name, done, total),
      },
    )
    tasks.push(resultOf(one, responses, numTruncated, options.bootstrapIterations ?? 100_000))
  }
  const byName = new Map(tasks.map((result) => [result.name, result]))
  const groups = selection.groups
    .filter(({ aggregates }) => aggregates.length > 0)
    .map((group) => groupResult(group, byName))
  return { tasks, groups }
}

/** The requests of prepared tasks in tokens, for many evaluations with one window. @throws what `encodeRequests` throws. */
export async function encodeTasks(
  prepared: readonly PreparedTask[],
  tokenizer: Tokenizer,
  options: EncodeOptions,
): Promise<readonly EncodedTask[]> {
  const tasks: EncodedTask[] = []
  for (const one of prepared)
    tasks.push({ ...one, encoded: await encodeRequests(tokenizer, requestsOf(one), options) })
  return tasks
}

/** Positions that a model computes for tasks in passes of `maxPositions`, at most. */
export function positionsOfTasks(tasks: readonly EncodedTask[], maxPositions: number): number {
  return tasks.reduce((sum, one) => sum + countPositions(requestsOf(one), one.encoded, maxPositions), 0)
}

const requestsOf = ({ items }: PreparedTask): readonly TaskRequest[] =>
  items.flatMap(({ requests }) => requests)

function checkMetrics({ task, items }: PreparedTask, onLine: (line: string) => void = () => {}): void {
  const { output_type: outputType = 'generate_until', metric_list: list, filter_list: filters } = task.config
  if (outputType !== 'generate_until' && task.config.generation_kwargs !== undefined) {
    const place = task.placeOf(['generation_kwargs'])
    onLine(`warning: ${place}: no effect with output_type ${outputType}, which writes no text`)
  }
  const where = printable(task.file)
  for (const { name, aggregation, ownAggregation } of metricsOf(outputType, list, where)) {
    requireAggregation(aggregation, `${where}: ${name}`, ownAggregation)
    const most = items.reduce((count, { choices = [] }) => Math.max(count, choices.length), 0)
    if (aggregation === 'f1' && most > 2) {
      throw new ConfigError(
        'TOO_MANY_CLASSES',
        `${where}: metric_list: f1: expected two choices, of which the second is looked for, received ${most}`,
      )
    }
  }
  filtersOf(outputType, filters, where)
}

/** A figure before it is measured. */
export type ExpectedFigure = Pick<TaskFigure, 'task' | 'metric' | 'filter' | 'higherIsBetter'>

/** Figures that an evaluation of tasks and groups will give. @throws {ConfigError} as `prepareTasks`. */
export function metricsOfSelection({ tasks, groups }: TaskSelection): readonly ExpectedFigure[] {
  const ofTasks = tasks.flatMap(({ name, file, config }) => {
    const { output_type: outputType = 'generate_until', metric_list: list, filter_list } = config
    const where = printable(file)
    const filters = filtersOf(outputType, filter_list, where)
    return filters.flatMap((filter) =>
      metricsOf(outputType, list, where).map(({ name: metric, higherIsBetter }) => ({
        ...{ task: name, metric, filter: filter.name, higherIsBetter },
      })),
    )
  })
  const ofGroups = groups.flatMap(({ name, tasks: own, aggregates }) =>
    ofTasks
      .filter(
        ({ task, metric, filter }) =>
          own.includes(task) &&
          aggregates.some(
            (one) => one.metric === metric && [one.filter_list ?? 'none'].flat().includes(filter),
          ),
      )
      .map((figure) => ({ ...figure, task: name })),
  )
  return [...ofTasks, ...ofGroups]
}

/** An average over nothing is a mistake. */
function checkAggregates({ name, tasks: names, aggregates }: SelectedGroup, tasks: readonly Task[]): void {
  const figures = tasks
    .filter((task) => names.includes(task.name))
    .flatMap(({ file, config: { output_type: outputType = 'generate_until', metric_list, filter_list } }) => {
      const filters = filtersOf(outputType, filter_list, printable(file))
      const metrics = metricsOf(outputType, metric_list, printable(file))
      return filters.flatMap((filter) => metrics.map((metric) => `${metric.name},${filter.name}`))
    })
  for (const { metric, filter_list: filters = 'none' } of aggregates) {
    for (const filter of [filters].flat()) {
      if (figures.includes(`${metric},${filter}`)) continue
      throw new ConfigError(
        'UNKNOWN_METRIC',
        `group ${printable(name)}: aggregate_metric_list: expected a metric and a filter of its tasks (${[...new Set(figures)].join('; ')}), received "${printable(metric)},${printable(filter)}"`,
      )
    }
  }
}

function resultOf(
  { task, items, numFewShot, numDocuments }: PreparedTask,
  responses: readonly TaskResponse[],
  numTruncated: number,
  bootstrapIterations: number,
): TaskResult {
  const { config } = task
  const outputType = config.output_type ?? 'generate_until'
  const where = printable(task.file)
  const metrics = metricsOf(outputType, config.metric_list, where)
  const filters = filtersOf(outputType, config.filter_list, where)
  let next = 0
  const own = items.map(({ requests }) => {
    next += requests.length
    return responses.slice(next - requests.length, next)
  })
  const samples = filters.flatMap(({ name, apply }) =>
    items.map((item, i): SampleResult => {
      const filtered = own[i]!.map((response) =>
        'text' in response ? { text: apply(response.text, item.document) } : response,
      )
      const values = metrics.map((metric) => [metric.name, metric.compute(item, filtered)] as const)
      return { item, responses: own[i]!, filter: name, filtered, values: Object.fromEntries(values) }
    }),
  )
  const figures = filters.flatMap(({ name: filter }) =>
    metrics.map(({ name: metric, aggregation, higherIsBetter }): MetricResult => {
      const values = samples
        .filter((sample) => sample.filter === filter)
        .map((sample) => sample.values[metric]!)
      return {
        metric,
        filter,
        value: aggregate(aggregation, values, where),
        error: standardError(aggregation, values, bootstrapIterations),
        higherIsBetter,
      }
    }),
  )
  return {
    task,
    name: task.name,
    alias: config.task_alias ?? task.name,
    numFewShot,
    numDocuments,
    numEvaluated: items.length,
    numTruncated,
    metrics: figures,
    samples,
  }
}

function groupResult(group: SelectedGroup, byName: ReadonlyMap<string, TaskResult>): GroupResult {
  const results = group.tasks.flatMap((name) => byName.get(name) ?? [])
  const metrics = group.aggregates.flatMap(
    ({ metric, weight_by_size: isWeighted = true, filter_list: filters = 'none' }) =>
      [filters].flat().flatMap((filter): MetricResult[] => {
        const found = results.flatMap((result) => {
          const own = result.metrics.find((one) => one.metric === metric && one.filter === filter)
          return own === undefined ? [] : [{ ...own, size: result.numEvaluated }]
        })
        if (found.length === 0) return []
        const { higherIsBetter } = found[0]!
        return [{ metric, filter, higherIsBetter, ...averageParts(found, isWeighted) }]
      }),
  )
  return { group, numEvaluated: results.reduce((sum, { numEvaluated }) => sum + numEvaluated, 0), metrics }
}
