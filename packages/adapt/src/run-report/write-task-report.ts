import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { TaskOverlap } from '../open/index.js'
import { renderTaskPage, writePage } from '../report/index.js'
import { sampleJson, type TaskEvaluation, taskFigures } from '../tasks/index.js'
import { chooseAnswers } from './choose-answers.js'
import { parseTaskSample } from './read-task-samples.js'

/**
 * Writes the page of one evaluation of tasks.
 * @param json  The results, of which the head of the page is made.
 * @throws {ResourceError} REPORT_WRITE
 */
export function writeTaskReport(
  path: string,
  evaluation: TaskEvaluation,
  json: Readonly<Record<string, unknown>>,
  overlap: TaskOverlap | undefined,
): void {
  const figures = taskFigures(evaluation)
  const samplesOf = function* (name: string) {
    const samples = evaluation.tasks.find((task) => task.name === name)?.samples ?? []
    for (const sample of samples) yield parseTaskSample(sampleJson(sample), name)
  }
  const config = json.config as Readonly<Record<string, unknown>>
  const truncated = evaluation.tasks.reduce((sum, { numTruncated }) => sum + numTruncated, 0)
  const facts: (readonly [string, string])[] = [
    ['parameters', Number(config.model_num_parameters).toLocaleString('en-US')],
    ['window', `${json.max_length} tokens`],
    ['precision', String(config.model_dtype)],
    ['device', String(config.device)],
    ['documents of a task', config.limit === null ? 'all' : `limit ${config.limit}`],
    ['contexts cut', truncated.toLocaleString('en-US')],
  ]
  writePage(
    resolve(path),
    renderTaskPage({
      model: String(config.model),
      ...{ facts, figures },
      answers: chooseAnswers(figures, samplesOf),
      overlaps: [
        ...(overlap?.training === undefined ? [] : [{ data: 'the training data', counts: overlap.training }]),
        ...(overlap === undefined ? [] : [{ data: 'the anchors', counts: overlap.anchors }]),
      ],
    }),
  )
}

/** Refuses what cannot become a page before hours are spent. @throws {ConfigError} NOT_A_FILE */
export function requireReportPath(path: string): void {
  if (!existsSync(path) || statSync(path).isFile()) return
  throw new ConfigError('NOT_A_FILE', `--report: expected a file, received the folder ${printable(path)}`)
}
