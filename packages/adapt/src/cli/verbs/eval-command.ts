import { ConfigError } from '../../errors.js'
import type { Evaluation } from '../../eval/index.js'
import type { SourceEvaluation } from '../../record/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'
import { type EvalOptions, namesOf } from './eval-options.js'

/** Options that only tasks have, by the name of the command line. */
const OF_TASKS = {
  includePath: '--include-path',
  numFewshot: '--num-fewshot',
  fewshotSeed: '--fewshot-seed',
  applyChatTemplate: '--apply-chat-template',
  fewshotAsMultiturn: '--fewshot-as-multiturn',
  systemInstruction: '--system-instruction',
  addBosToken: '--add-bos-token',
  against: '--against',
  output: '--output',
  report: '--report',
  bf16: '--bf16',
} as const

/** `adapt eval --model DIR`, with `--text GLOB` or `--tasks NAMES`. */
export async function evalCommand(options: EvalOptions, io: CliIo): Promise<void> {
  if (options.tasks?.join() === 'list') {
    const { printTaskList } = await import('./eval-tasks.js')
    await printTaskList(options, io)
    return
  }
  refuseIdleOptions(options)
  if (options.tasks !== undefined) {
    const { evalTasks } = await import('./eval-tasks.js')
    await evalTasks(options, io)
    return
  }
  const { evaluateModelFolder } = await import('../../open/index.js')
  const { model = '', adapter, tokenizer, text = [], maxLength, batchSize, device, limit, json } = options
  const outcome = await evaluateModelFolder({
    model,
    ...(adapter === undefined ? {} : { adapter }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(device === undefined ? {} : { device }),
    ...(limit === undefined ? {} : { limit }),
    texts: text,
    onLine: (line) => io.stderr.line(line),
  })
  const { max_length, sources, all } = outcome
  io.stdout.write(json === true ? `${renderJson({ max_length, sources, all })}\n` : renderEvaluation(outcome))
}

/** What would have no effect is a mistake. */
function refuseIdleOptions(options: EvalOptions): void {
  const fail = (message: string): never => {
    throw new ConfigError('USAGE', message)
  }
  const { text, tasks, batchSize, limit } = options
  if (options.model === undefined)
    fail('--model: expected a model folder, adapter folder, run or checkpoint, received none')
  if (text === undefined && tasks === undefined) fail('expected --text or --tasks, received neither')
  if (text !== undefined && tasks !== undefined)
    fail('expected --text or --tasks, received both; run eval twice')
  if (tasks !== undefined) {
    if (batchSize !== undefined)
      fail('--batch-size: expected it with --text; passes over tasks are as large as the memory allows')
    if (namesOf(tasks).length === 0) fail('--tasks: expected names of tasks, received none')
    if (limit === 0) fail('--limit: expected a number above 0 with --tasks, received 0')
    if (options.fewshotAsMultiturn && !options.applyChatTemplate)
      fail('--fewshot-as-multiturn: expected it with --apply-chat-template')
    return
  }
  for (const [key, flag] of Object.entries(OF_TASKS)) {
    if (options[key as keyof EvalOptions] !== undefined)
      fail(`${flag}: expected it with --tasks, received --text`)
  }
  if (limit !== undefined && !Number.isInteger(limit)) fail('--limit: expected a whole number with --text')
}

/** The outcome as a table: a row per source, then all of them together; `-` where nothing was measured. */
export function renderEvaluation(outcome: Evaluation): string {
  const figure = (value: number | null) => (value === null ? '-' : value.toFixed(4))
  const row = (name: string, result: SourceEvaluation) => [
    name,
    figure(result.bits_per_byte),
    figure(result.nats_per_token),
    formatCount(result.tokens),
    formatCount(result.bytes),
    formatCount(result.documents),
  ]
  const number = (heading: string) => ({ heading, isNumeric: true })
  const columns = ['bits/byte', 'nats/token', 'tokens', 'bytes', 'documents'].map(number)
  const rows = Object.entries(outcome.sources).map(([name, result]) => row(name, result))
  return renderTable([{ heading: 'source' }, ...columns], [...rows, row('all', outcome.all)])
}
