import { join } from 'node:path'
import type { EvaluationEvent, RunEvent } from '../../record/index.js'
import { renderTable } from './render-table.js'
import { shortenPath } from './shorten-path.js'

/**
 * What the evaluations of a run say of it: every source at the first and at the last one, and the change between. Empty
 * for a run with fewer than two.
 */
export function renderChange(events: readonly RunEvent[]): string {
  const found = events.filter((event): event is EvaluationEvent => event.type === 'evaluation')
  const [first, last] = [found[0], found.at(-1)]
  if (first === undefined || last === undefined || first.step === last.step) return ''
  const before = figuresOf(first)
  const rows = [...figuresOf(last)].map(([name, value]) => {
    const old = before.get(name) ?? null
    const change = old === null || value === null ? '-' : signed(value - old)
    return [name, figure(old), figure(value), change]
  })
  const number = (heading: string) => ({ heading, isNumeric: true })
  const heading = last.validation ? 'bits per byte; eval_loss in nats per token' : 'bits per byte'
  const columns = [{ heading }, number(`step ${first.step}`), number(`step ${last.step}`), number('change')]
  return renderTable(columns, rows)
}

function figuresOf({ sources, validation }: EvaluationEvent): Map<string, number | null> {
  const bySource = Object.entries(sources).map(([name, { bits_per_byte }]) => [name, bits_per_byte] as const)
  return new Map<string, number | null>(
    validation ? [...bySource, ['eval_loss', validation.eval_loss]] : bySource,
  )
}

const figure = (value: number | null) => (value === null ? '-' : value.toFixed(4))
const signed = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(4)}`

/** Where things are, and what to do next. */
export function renderPlaces(outputDir: string, reportPath: string | undefined, withNext: boolean): string {
  const run = shortenPath(outputDir)
  const report = reportPath === undefined ? '' : `report  ${shortenPath(reportPath)}\n`
  const places = `run     ${run}\nmodel   ${shortenPath(join(outputDir, 'model'))}\n${report}`
  if (!withNext) return places
  const word = /^[\w@%+=:,./-]+$/.test(run) ? run : `'${run.replaceAll("'", "'\\''")}'`
  return `${places}next    npx adapt generate --model ${word} --prompt TEXT\n        npx adapt eval --model ${word} --text FILE\n`
}
