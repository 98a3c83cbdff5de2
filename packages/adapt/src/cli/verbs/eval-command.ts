import type { Evaluation } from '../../eval/index.js'
import type { SourceEvaluation } from '../../record/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'

export interface EvalOptions {
  readonly model: string
  readonly adapter?: string
  readonly tokenizer?: string
  readonly text: readonly string[]
  readonly maxLength?: number
  readonly batchSize?: number | 'auto'
  readonly device?: string
  readonly limit?: number
  readonly json?: boolean
}

/** `adapt eval --model DIR --text GLOB`. */
export async function evalCommand(options: EvalOptions, io: CliIo): Promise<void> {
  const { evaluateModelFolder } = await import('../../open/index.js')
  const { text, json, ...request } = options
  const outcome = await evaluateModelFolder({
    ...request,
    texts: text,
    onLine: (line) => io.stderr.line(line),
  })
  const { max_length, sources, all } = outcome
  io.stdout.write(json === true ? `${renderJson({ max_length, sources, all })}\n` : renderEvaluation(outcome))
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
