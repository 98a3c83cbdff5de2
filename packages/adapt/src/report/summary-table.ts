import { sourceKey } from './evaluation-chart.js'
import { formatDifference, formatNumber, type NumberFormat } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { evaluationNames, meanBitsPerByte, type RunFigures } from './run-figures.js'
import type { SourceColors } from './source-colors.js'

interface Row {
  readonly label: string
  /** A source, which is shown with its colour. */
  readonly source?: string
  readonly unit: string
  readonly format: NumberFormat
  /** One per run; null where the run has no such figure. */
  readonly values: readonly (number | string | null)[]
  /** Set where less is better; a difference is then marked as good or bad. */
  readonly better?: 'lower'
}

const MAX_SOURCES = 12

interface RowGroup {
  readonly label: string
  readonly rows: readonly Row[]
}

/** Figures by row, runs by column, each later run with its difference to the first; of one run a small table per group. */
export function renderSummaryTable(
  runs: readonly ReportRun[],
  figures: readonly RunFigures[],
  colors: SourceColors,
): Html {
  const groups = buildRows(runs, figures).filter((group) => group.rows.length > 0)
  if (runs.length === 1) {
    const cards = groups.map(
      ({ label, rows }) =>
        html`<div class="scroll"><table><caption>${label}</caption><tbody>${rows.map((row) => renderRow(row, colors))}</tbody></table></div>`,
    )
    return html`<div class="cards">${cards}</div>`
  }
  const heads = runs.map((run, i) => {
    const name = visibleText(run.name)
    return i === 0
      ? html`<th scope="col">${name}</th>`
      : html`<th scope="col">${name}</th><th scope="col" class="diff">difference</th>`
  })
  const bodies = groups.map(
    ({ label, rows }) =>
      html`<tbody><tr class="group"><th scope="rowgroup" colspan="${2 * runs.length}">${label}</th></tr>${rows.map((row) => renderRow(row, colors))}</tbody>`,
  )
  return html`<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th>${heads}</tr></thead>${bodies}</table></div>`
}

function buildRows(runs: readonly ReportRun[], figures: readonly RunFigures[]): RowGroup[] {
  const names = evaluationNames(figures)
  const quality: Row[] = names.map((name) => ({
    label: visibleText(name),
    source: name,
    unit: '',
    format: 'bits',
    better: 'lower',
    values: figures.map((run) => run.bitsPerByte.get(name) ?? null),
  }))
  if (names.length > 1 && runs.length > 1) {
    const values = figures.map((run) => meanBitsPerByte(run, names))
    quality.push({ label: 'mean of the sets', unit: '', format: 'bits', better: 'lower', values })
  }
  const heldOut: Row[] = [...new Set(figures.flatMap((run) => [...run.evalLoss.keys()]))].map((name) => ({
    label: visibleText(name),
    unit: 'nats',
    format: 'bits',
    better: 'lower',
    values: figures.map((run) => run.evalLoss.get(name) ?? null),
  }))
  const of = (
    label: string,
    unit: string,
    format: NumberFormat,
    pick: (run: RunFigures) => number,
    better?: 'lower',
  ): Row => ({ label, unit, format, values: figures.map(pick), ...(better === undefined ? {} : { better }) })
  const summaryKeys = [...new Set(runs.flatMap((run) => Object.keys(run.summary)))]
  return [
    // Of a single run they stand in a table of their own, with what changed.
    { label: 'Held-out bits per byte, last evaluation', rows: runs.length === 1 ? [] : quality },
    { label: 'Loss on the held-out part of the training data, last evaluation', rows: heldOut },
    {
      label: 'Training',
      rows: [
        of('unweighted loss, last tenth', 'nats', 'bits', (run) => run.finalLoss, 'lower'),
        of('effective data ratio (EDR)', '', 'ratio', (run) => run.edr),
        of('effective sample size (ESS)', 'share of samples', 'ratio', (run) => run.essRatio),
        of('skipped steps', '', 'count', (run) => run.skippedSteps),
        of('steps with a value not finite', '', 'count', (run) => run.nonFiniteSteps),
        // Known of run folders only.
        ...[
          of('restarts', '', 'count', (run) => run.restarts),
          of('warnings', '', 'count', (run) => run.warnings),
        ].filter(({ values }) => !values.every(Number.isNaN)),
      ],
    },
    {
      label: 'Relative weight by source, over all steps',
      rows: relativeRows(figures, new Set(runs.flatMap((run) => run.anchoredSources ?? []))),
    },
    {
      label: 'Cost',
      rows: [
        of('optimiser steps', '', 'count', (run) => run.steps),
        of('tokens processed', '', 'count', (run) => run.tokens),
        of('training', 'FLOPs', 'flops', (run) => run.flopsTrain),
        of('signal', 'FLOPs', 'flops', (run) => run.flopsSignal),
        ...[of('preparation', 'FLOPs', 'flops', (run) => run.flopsPreparation)].filter(
          ({ values }) => !values.every(Number.isNaN),
        ),
        of('training time', '', 'duration', (run) => run.trainSeconds),
        of('signal', 'share of the time', 'percent', (run) => run.signalShare),
        of('speed', 'tokens/s', 'count', (run) => run.tokensPerSecond),
      ],
    },
    {
      label: 'Further figures',
      rows: summaryKeys.map((key) => ({
        label: visibleText(key),
        unit: '',
        format: 'plain',
        values: runs.map((run) => (Object.hasOwn(run.summary, key) ? run.summary[key]! : null)),
      })),
    },
  ]
}

/** The sources that the weights moved most; where all runs are uniform there is nothing to say. */
function relativeRows(figures: readonly RunFigures[], anchored: ReadonlySet<string>): Row[] {
  const of = (run: RunFigures, name: string): number => {
    const { mass = Number.NaN, uniform = Number.NaN } = run.shares.get(name) ?? {}
    return mass / uniform
  }
  const moved = (name: string): number =>
    Math.max(...figures.map((run) => Math.abs(Math.log(of(run, name)))).map((x) => (x > 0 ? x : 0)))
  const names = [...new Set(figures.flatMap((run) => [...run.shares.keys()]))]
  if (names.length < 2 || names.every((name) => moved(name) < 1e-9)) return []
  const rank = (name: string) => (anchored.has(name) ? Number.POSITIVE_INFINITY : moved(name))
  const shown = names
    .sort((a, b) => (rank(a) === rank(b) ? (a < b ? -1 : 1) : rank(b) - rank(a)))
    .slice(0, MAX_SOURCES)
    .sort()
  const left = names.length - MAX_SOURCES
  return [
    ...shown.map(
      (name): Row => ({
        label: visibleText(name),
        source: name,
        unit: '',
        format: 'ratio',
        values: figures.map((run) => of(run, name)),
      }),
    ),
    ...(left > 0 ? [noteRow(`${left} other ${left === 1 ? 'source' : 'sources'}, moved less`, figures)] : []),
  ]
}

/** A row of words, without figures. */
function noteRow(label: string, figures: readonly RunFigures[]): Row {
  return { label: visibleText(label), unit: '', format: 'ratio', values: figures.map(() => '') }
}

function renderRow({ label, source, unit, format, values, better }: Row, colors: SourceColors): Html {
  const first = values[0]
  const cells = values.map((value, i) => {
    const shown = html`<td>${renderValue(value, format)}</td>`
    if (i === 0) return shown
    if (typeof value !== 'number' || typeof first !== 'number') return html`${shown}<td class="diff"></td>`
    const difference = value - first
    return html`${shown}<td class="diff ${verdict(difference, better)}">${formatDifference(difference, format)}</td>`
  })
  const units = unit === '' ? html`` : html` <span class="unit">${unit}</span>`
  return html`<tr><th scope="row">${source === undefined ? html`` : sourceKey(source, colors)}${label}${units}</th>${cells}</tr>`
}

function renderValue(value: number | string | null, format: NumberFormat): Html {
  if (value === null || (typeof value === 'number' && Number.isNaN(value)))
    return html`<span class="none">n/a</span>`
  return typeof value === 'number' ? formatNumber(value, format) : html`${visibleText(value)}`
}

function verdict(difference: number, better: 'lower' | undefined): string {
  if (better === undefined || difference === 0 || Number.isNaN(difference)) return ''
  return difference < 0 ? 'good' : 'bad'
}
