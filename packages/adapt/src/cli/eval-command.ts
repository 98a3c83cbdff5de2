import type { Evaluation } from '../eval/index.js'
import type { SourceEvaluation } from '../record/index.js'
import type { CliIo } from './cli-io.js'
import { formatCount, renderTable } from './render-table.js'

export interface EvalOptions {
  readonly model: string
  readonly adapter?: string
  readonly text: readonly string[]
  readonly maxLength?: number
  readonly batchSize?: number
  readonly limit?: number
  readonly json?: boolean
}

/** `adapt eval --model DIR --text GLOB` */
export async function evalCommand(options: EvalOptions, io: CliIo): Promise<void> {
  const { evaluateModelFolder } = await import('../experiment/index.js')
  const { model, adapter, text, maxLength, batchSize, limit } = options
  const outcome = await evaluateModelFolder({
    model,
    texts: text,
    onLine: (line) => io.stderr.write(`${line}\n`),
    ...(adapter === undefined ? {} : { adapter }),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(limit === undefined ? {} : { limit }),
  })
  io.stdout.write(options.json === true ? `${JSON.stringify(outcome, null, 2)}\n` : renderEvaluation(outcome))
}

/** The outcome as a table: a row per source, then all of them together. */
export function renderEvaluation(outcome: Evaluation): string {
  const row = (name: string, result: SourceEvaluation) => [
    name,
    result.bits_per_byte.toFixed(4),
    result.nats_per_token.toFixed(4),
    formatCount(result.tokens),
    formatCount(result.bytes),
    formatCount(result.documents),
  ]
  const number = (heading: string) => ({ heading, isNumeric: true })
  const columns = ['bits/byte', 'nats/token', 'tokens', 'bytes', 'documents'].map(number)
  const rows = Object.entries(outcome.sources).map(([name, result]) => row(name, result))
  return renderTable([{ heading: 'source' }, ...columns], [...rows, row('all', outcome.all)])
}
