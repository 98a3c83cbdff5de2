import { createHash } from 'node:crypto'
import type { JsonValue } from '../dataset/index.js'
import { averageTasks } from '../record/index.js'
import type { MetricResult, SampleResult, TaskEvaluation, TaskResult } from './evaluate-tasks.js'
import type { TaskResponse } from './metrics.js'
import type { TaskRequest } from './prepare-task.js'
import { taskFigures } from './task-figures.js'

/** Facts of an evaluation beside its results. */
export interface ResultsHead {
  /** As the command line named it. */
  readonly model: string
  readonly modelArgs: Readonly<Record<string, unknown>>
  readonly numParameters: number
  readonly dtype: string
  readonly device: string
  readonly batchSize: number | string
  readonly limit: number | undefined
  readonly bootstrapIterations: number
  readonly fewShotSeed: number
  readonly version: string
  /** Seconds since 1970. */
  readonly date: number
  readonly seconds: number
  readonly maxLength: number
  readonly system: string | undefined
  readonly chatTemplate: string | undefined
  readonly isMultiturn: boolean
}

/** The results in the schema of lm-evaluation-harness. */
export function resultsJson(evaluation: TaskEvaluation, head: ResultsHead): Record<string, unknown> {
  const { tasks, groups, anchored } = evaluation
  const byName = <V>(value: (result: TaskResult) => V): Record<string, V> =>
    Object.fromEntries(tasks.map((result) => [result.name, value(result)]))
  const ofGroups = Object.fromEntries(
    groups.map(({ group, metrics, numEvaluated }) => [
      group.name,
      { name: group.name, alias: group.alias, sample_len: numEvaluated, ...metricFields(metrics) },
    ]),
  )
  return {
    results: {
      ...byName(({ name, alias, numEvaluated, metrics }) => ({
        name,
        alias,
        sample_len: numEvaluated,
        ...metricFields(metrics),
      })),
      ...ofGroups,
    },
    ...(groups.length > 0 ? { groups: ofGroups } : {}),
    group_subtasks: {
      ...byName(() => []),
      ...Object.fromEntries(groups.map(({ group }) => [group.name, group.members])),
    },
    configs: byName(({ task, numFewShot }) => ({ ...task.config, num_fewshot: numFewShot })),
    versions: byName(
      ({ task }) => (task.config.metadata as Record<string, unknown> | null | undefined)?.version ?? null,
    ),
    'n-shot': byName(({ numFewShot }) => numFewShot),
    higher_is_better: byName(({ metrics }) =>
      Object.fromEntries(metrics.map(({ metric, higherIsBetter }) => [metric, higherIsBetter])),
    ),
    'n-samples': byName(({ numDocuments, numEvaluated }) => ({
      original: numDocuments,
      effective: numEvaluated,
    })),
    truncated: byName(({ numTruncated }) => numTruncated),
    averages: Object.fromEntries(
      averageTasks(taskFigures(evaluation)).map(({ name, error, ...rest }) => [
        name,
        { ...rest, stderr: error ?? 'N/A' },
      ]),
    ),
    ...(anchored === undefined ? {} : { anchored: byName(({ name }) => anchored.has(name)) }),
    config: {
      model: head.model,
      model_args: head.modelArgs,
      model_num_parameters: head.numParameters,
      model_dtype: head.dtype,
      batch_size: String(head.batchSize),
      device: head.device,
      limit: head.limit ?? null,
      bootstrap_iters: head.bootstrapIterations,
      fewshot_seed: head.fewShotSeed,
    },
    date: head.date,
    adapt_version: head.version,
    max_length: head.maxLength,
    system_instruction: head.system ?? null,
    chat_template: head.chatTemplate ?? null,
    fewshot_as_multiturn: head.isMultiturn,
    total_evaluation_time_seconds: String(head.seconds),
  }
}

function metricFields(metrics: readonly MetricResult[]): Record<string, number | string> {
  return Object.fromEntries(
    metrics.flatMap(({ metric, filter, value, error }) => [
      [`${metric},${filter}`, value],
      [`${metric}_stderr,${filter}`, error ?? 'N/A'],
    ]),
  )
}

/** The name of the file of a task's samples. */
export const samplesFile = (task: string): string => `samples_${task.replace(/[^\w.-]/g, '_')}.jsonl`

/** One document's line in the schema of the harness. */
export function sampleJson({ item, responses, filter, filtered, values }: SampleResult): string {
  const plainly = (response: TaskResponse) =>
    'text' in response ? response.text : [response.logLikelihood, response.isGreedy]
  const target = item.answer
  return JSON.stringify(
    {
      doc_id: item.index,
      doc: item.document.fields,
      target,
      arguments: item.requests.map(argumentsOf),
      resps: responses.map((response) => [plainly(response)]),
      filtered_resps: filtered.map(plainly),
      filter,
      metrics: Object.keys(values),
      doc_hash: sha256(item.document.key),
      prompt_hash: sha256(String(argumentsOf(item.requests[0]!)[0])),
      target_hash: sha256(String(target)),
      ...values,
    },
    plain,
  )
}

function argumentsOf(request: TaskRequest): readonly unknown[] {
  if (request.kind === 'loglikelihood_rolling') return [request.text]
  if (request.kind === 'loglikelihood') return [request.context, request.continuation]
  const { until, maxNewTokens, temperature } = request.settings
  return [request.context, { until, max_gen_toks: maxNewTokens, do_sample: temperature > 0, temperature }]
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Values of a record that `JSON.stringify` does not know. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  return value instanceof Map ? Object.fromEntries(value as Map<string, JsonValue>) : value
}
