import { resolve } from 'node:path'
import {
  type Audit,
  type AuditedSignal,
  alsoScoring,
  decidingAuc,
  leftOutTogether,
  percent,
  shortEstimate,
  shortFigure,
  verdictOf,
} from '../../audit/index.js'
import { loadConfig } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { assignments } from '../terminal/option-parsers.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable, wrapLines } from '../terminal/render-table.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface AuditOptions {
  readonly signals?: readonly string[]
  readonly all?: boolean
  readonly samples: number
  readonly influence: number
  readonly target?: readonly string[]
  readonly sibling?: readonly string[]
  readonly noise?: readonly string[]
  readonly output: string
  readonly device?: string
  readonly set?: readonly string[]
  readonly json?: boolean
}

/** Between two lines on how far it is, without a terminal. */
const LINE_MS = 5000

/** `adapt audit MODEL CONFIG`: which signal is worth training with. */
export async function auditCommand(
  model: string,
  path: string,
  options: AuditOptions,
  io: CliIo,
): Promise<void> {
  const { config, warnings, baseDir } = await loadConfig(path, { env: io.env, set: assignments(options) })
  for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
  const { auditSignals, writeAuditReport } = await import('../../audit/index.js')
  const { configInputs, requireNoInput } = await import('../../open/index.js')
  const output = resolve(options.output)
  requireNoInput('--output', output, await configInputs(config, baseDir))
  const { signals, all, target = [], sibling = [], noise = [] } = options
  const isTty = io.stderr.isTTY === true
  let lastLine = Date.now()
  const audit = await auditSignals({
    ...{ config, baseDir, model, samples: options.samples, influence: options.influence },
    ...(signals ? { signals } : {}),
    ...(all ? { all } : {}),
    roles: { target, sibling, noise },
    onLine: (line) => {
      if (isTty) io.stderr.clearLine()
      io.stderr.line(line)
    },
    onProgress: (text) => {
      if (isTty) io.stderr.redrawLine(text)
      else if (Date.now() - lastLine > LINE_MS) {
        lastLine = Date.now()
        io.stderr.line(text)
      }
    },
  })
  if (isTty) io.stderr.clearLine()
  writeAuditReport(output, audit)
  if (options.json === true) io.stdout.write(`${renderJson({ ...audit, verdict: verdictOf(audit) })}\n`)
  else io.stdout.write(`${renderAudit(audit)}report: ${shortenPath(output)}\n`)
}

/** The audit as a table, what was left out, and the verdict. */
export function renderAudit(audit: Audit): string {
  const { roles, influence, signals, cautions } = audit
  const hasInfluence = influence !== undefined
  const hasSources = [...signals, ...(influence ? [influence] : [])].some(
    ({ betweenSources }) => betweenSources !== undefined,
  )
  const number = (heading: string) => ({ heading, isNumeric: true })
  const columns = [
    { heading: 'signal' },
    number(roles.target.length > 0 ? 'target' : 'anchors'),
    ...(roles.sibling.length > 0 ? [number('sibling')] : []),
    ...(roles.noise.length > 0 ? [number('noise')] : []),
    ...(hasInfluence ? [number('influence')] : []),
    number('halves'),
    ...(hasSources ? [number('between')] : []),
    number('cost'),
  ]
  const cells = (figures: Omit<AuditedSignal, keyof { name: 1 }> | NonNullable<Audit['influence']>) => [
    shortEstimate(decidingAuc(figures)),
    ...(roles.sibling.length > 0 ? [shortFigure(figures.sibling?.value)] : []),
    ...(roles.noise.length > 0 ? [shortFigure(figures.noise?.value)] : []),
    ...(hasInfluence ? [shortEstimate('samples' in figures ? undefined : figures.influence?.dot)] : []),
    shortFigure(figures.splitHalf),
    ...(hasSources ? [percent(figures.betweenSources)] : []),
    'costShare' in figures ? percent(figures.costShare) : '-',
  ]
  const rows = [
    ...signals.map((signal) => [printable(signal.name, 40), ...cells(signal)]),
    ...(influence ? [['gradient influence', ...cells(influence)]] : []),
  ]
  const counts = `${printable(audit.model)}: ${formatCount(audit.samples)} samples, ${formatCount(audit.anchors)} anchors${influence ? `, ${formatCount(influence.samples)} gradients` : ''}`
  const same = signals.flatMap((signal) =>
    alsoScoring(signal).length === 0
      ? []
      : [`${printable(signal.name, 40)} scores as ${alsoScoring(signal).join(', ')}`],
  )
  const left = leftOutTogether(audit).map(
    ({ names, reason }) => `left out: ${printable(names)}: ${printable(reason)}`,
  )
  const lines = [...same, ...left, ...cautions.map((caution) => `caution: ${printable(caution)}`)]
  const notes = lines.length === 0 ? '' : `${wrapLines(lines.join('\n'))}\n\n`
  return `${counts}\n\n${renderTable(columns, rows)}\n${notes}${wrapLines(verdictOf(audit))}\n`
}
