import type { TaskOverlap } from '../../open/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'
import { renderTasks } from '../terminal/render-tasks.js'
import { type EvalOptions, namesOf } from './eval-options.js'
import { renderOverlap } from './overlap-table.js'

/** Between two lines on how far a task is. */
const LINE_MS = 2000

/** `adapt eval --model DIR --tasks NAMES`. */
export async function evalTasks(options: EvalOptions, io: CliIo): Promise<void> {
  const { evaluateModelTasks } = await import('../../open/index.js')
  const { taskFigures } = await import('../../tasks/index.js')
  const { StopRequest } = await import('../../run/stop-request.js')
  const { requireReportPath, writeTaskReport } = await import('../../run-report/index.js')
  if (options.report !== undefined) requireReportPath(options.report)
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
  const {
    evaluation,
    json: results,
    overlap,
  } = await evaluateModelTasks({
    model: options.model ?? '',
    ...given({ adapter: options.adapter, tokenizer: options.tokenizer, maxLength: options.maxLength }),
    ...given({ against: options.against }),
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
  if (options.report !== undefined) {
    writeTaskReport(options.report, evaluation, results, overlap)
    io.stderr.line(`report: ${options.report}`)
  }
  if (json === true) {
    io.stdout.write(`${renderJson(results)}\n`)
    return
  }
  io.stdout.write(renderTasks(taskFigures(evaluation)))
  if (overlap !== undefined) io.stdout.write(renderTaskOverlap(overlap))
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

/** What the documents of the tasks share with the data of a run; nothing where only anchors were read and none of them does. */
export function renderTaskOverlap({ anchors, training }: TaskOverlap): string {
  const isShared = anchors.some(({ shared, duplicates }) => shared + duplicates > 0)
  return [
    ...(training === undefined ? [] : [renderOverlap('training data', training)]),
    ...(isShared || training !== undefined ? [renderOverlap('anchors', anchors)] : []),
  ]
    .filter((table) => table !== '')
    .map((table) => `\n${table}`)
    .join('')
}

/** The tasks there are, a line each; names are whole, to be given to `--tasks`. */
export async function printTaskList({ includePath, json }: EvalOptions, io: CliIo): Promise<void> {
  const { listTasks } = await import('../../tasks/index.js')
  const found = await listTasks({
    ...(includePath === undefined ? {} : { includePaths: includePath }),
    onBroken: (problem) => io.stderr.line(`warning: left out: ${problem}`),
  })
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
