import type { GroupResult, MetricResult, TaskResult } from '../../tasks/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'
import { type EvalOptions, namesOf } from './eval-options.js'

/** Between two lines on how far a task is. */
const LINE_MS = 2000

/** `adapt eval --model DIR --tasks NAMES`. */
export async function evalTasks(options: EvalOptions, io: CliIo): Promise<void> {
  const { evaluateModelTasks } = await import('../../open/index.js')
  const { StopRequest } = await import('../../run/stop-request.js')
  using stop = new StopRequest()
  stop.watchNatively()
  const {
    tasks = [],
    json,
    includePath,
    numFewshot,
    fewshotSeed,
    fewshotAsMultiturn,
    systemInstruction,
  } = options
  let lastLine = 0
  const { evaluation, json: results } = await evaluateModelTasks({
    model: options.model ?? '',
    ...given({ adapter: options.adapter, tokenizer: options.tokenizer, maxLength: options.maxLength }),
    ...given({ device: options.device, limit: options.limit, output: options.output, bf16: options.bf16 }),
    tasks: namesOf(tasks),
    ...given({ includePaths: includePath, numFewShot: numFewshot, fewShotSeed: fewshotSeed }),
    ...given({ applyChatTemplate: options.applyChatTemplate, fewShotAsMultiturn: fewshotAsMultiturn }),
    ...given({ system: systemInstruction, addBosToken: options.addBosToken }),
    isCancelled: () => stop.requested,
    onLine: (line) => io.stderr.line(line),
    onProgress(task, done, total) {
      if (Date.now() - lastLine < LINE_MS && done < total) return
      lastLine = Date.now()
      io.stderr.line(`${task}: ${formatCount(done)} of ${formatCount(total)}`)
    },
  })
  if (json === true) {
    io.stdout.write(`${renderJson(results)}\n`)
    return
  }
  io.stdout.write(renderTasks(evaluation.tasks, evaluation.groups))
  for (const { name, numTruncated } of evaluation.tasks) {
    if (numTruncated > 0)
      io.stderr.line(
        `warning: ${name}: ${formatCount(numTruncated)} contexts were longer than the window and lost their beginning`,
      )
  }
  if (options.output !== undefined) io.stderr.line(`results: ${options.output}/results.json`)
}

/** Leaves out what is not there. */
function given<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}

/** A row a metric: tasks in their order, then groups. */
export function renderTasks(tasks: readonly TaskResult[], groups: readonly GroupResult[]): string {
  const number = (heading: string) => ({ heading, isNumeric: true })
  const columns = [
    ...[{ heading: 'task', canShorten: false }, number('n-shot'), number('documents'), { heading: 'metric' }],
    ...[{ heading: 'better' }, number('value'), number('stderr'), { heading: 'filter' }],
  ]
  const rows = (name: string, shots: string, count: number, metrics: readonly MetricResult[]) =>
    metrics.map(({ metric, filter, value, error, higherIsBetter }, i) => [
      i === 0 ? name : '',
      i === 0 ? shots : '',
      i === 0 ? formatCount(count) : '',
      metric,
      higherIsBetter ? 'higher' : 'lower',
      value.toFixed(4),
      error === undefined ? '-' : error.toFixed(4),
      filter,
    ])
  return renderTable(columns, [
    ...tasks.flatMap((task) => rows(task.alias, String(task.numFewShot), task.numEvaluated, task.metrics)),
    ...groups.flatMap(({ group, numEvaluated, metrics }) => rows(group.alias, '', numEvaluated, metrics)),
  ])
}

/** The tasks there are, a line each; names are whole, to be given to `--tasks`. */
export async function printTaskList({ includePath, json }: EvalOptions, io: CliIo): Promise<void> {
  const { listTasks } = await import('../../tasks/index.js')
  const found = await listTasks(includePath === undefined ? {} : { includePaths: includePath })
  if (json === true) {
    io.stdout.write(`${renderJson(found)}\n`)
    return
  }
  io.stdout.write(
    renderTable(
      [{ heading: 'name', canShorten: false }, { heading: 'kind' }, { heading: 'file' }],
      found.map(({ name, kind, file }) => [name, kind, file]),
    ),
  )
}
