import { formatDifference, formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { evaluationNames, type RunFigures } from './run-figures.js'

const WIDTH = 560
const LABEL_WIDTH = 132
const RIGHT = 16
const TOP = 8
const AXIS_HEIGHT = 44
const DOT_GAP = 12

/**
 * Two dot charts in SVG: bits per byte of the last evaluation by set, and the differences to the first run on a
 * scale of their own, because they are small against the values.
 */
export function renderEvaluationCharts(runs: readonly ReportRun[], figures: readonly RunFigures[]): Html {
  const names = evaluationNames(figures)
  if (names.length === 0) {
    const isMeasured = figures.some((run) => run.evalLoss.size > 0)
    return isMeasured ? html`` : html`<p class="about">No run was evaluated.</p>`
  }
  const values = (name: string): number[] => figures.map((run) => run.bitsPerByte.get(name) ?? Number.NaN)
  const absolute = renderDots({
    label: 'bits per byte (lower is better)',
    names,
    runs,
    fromZero: false,
    format: (value) => formatNumber(value, 'bits'),
    rows: names.map((name) => values(name).map((value, run) => ({ run, value }))),
  })
  if (runs.length < 2) return html`<div class="pair">${absolute}</div>`
  const differences = renderDots({
    label: `difference to ${visibleText(runs[0]!.name)} (left is better)`,
    names,
    runs,
    fromZero: true,
    format: (value) => formatDifference(value, 'bits'),
    rows: names.map((name) => {
      const [first, ...others] = values(name)
      return others.map((value, i) => ({ run: i + 1, value: value - first! }))
    }),
  })
  const keys = runs.map(
    (run, i) =>
      html`<li><svg class="dot" viewBox="-6 -6 12 12">${mark(i, 0, 0)}</svg>${visibleText(run.name)}</li>`,
  )
  return html`<ul class="keys">${keys}</ul><div class="pair">${absolute}${differences}</div>`
}

interface DotChart {
  readonly label: string
  readonly names: readonly string[]
  readonly runs: readonly ReportRun[]
  /** Draws stems from zero and writes the values out. */
  readonly fromZero: boolean
  readonly format: (value: number) => Html
  readonly rows: readonly (readonly { readonly run: number; readonly value: number }[])[]
}

function renderDots(chart: DotChart): Html {
  const perRow = Math.max(2, chart.runs.length)
  const rowHeight = perRow * DOT_GAP + 12
  const bottom = TOP + chart.names.length * rowHeight
  const height = bottom + AXIS_HEIGHT
  const all = chart.rows
    .flat()
    .map((dot) => dot.value)
    .filter(Number.isFinite)
  const ticks = niceTicks(chart.fromZero ? [0, ...all] : all, chart.fromZero ? 0.2 : 0.04)
  const low = ticks[0]!
  const high = ticks.at(-1)!
  const x = (value: number): number =>
    round(LABEL_WIDTH + ((value - low) / (high - low)) * (WIDTH - LABEL_WIDTH - RIGHT))
  const grid = ticks.map((tick) => {
    const kind = chart.fromZero && tick === 0 ? 'zero' : 'grid'
    return html`<line class="${kind}" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP}" y2="${bottom}"/><text class="tick" x="${x(tick)}" y="${bottom + 16}">${tickText(tick, ticks)}</text>`
  })
  const rows = chart.rows.map((dots, i) => {
    const top = TOP + i * rowHeight
    const marks = dots.map((dot, position) => {
      const y = top + rowHeight / 2 + (position - (dots.length - 1) / 2) * DOT_GAP
      if (!Number.isFinite(dot.value)) return html``
      const title = html`<title>${visibleText(chart.runs[dot.run]!.name)}, ${visibleText(chart.names[i]!)}: ${chart.format(dot.value)}</title>`
      const stem = chart.fromZero
        ? html`<line class="stem s${dot.run % 8}" x1="${x(0)}" x2="${x(dot.value)}" y1="${y}" y2="${y}"/>`
        : html``
      const side = dot.value < 0 ? -9 : 9
      const text = chart.fromZero
        ? html`<text class="value" text-anchor="${dot.value < 0 ? 'end' : 'start'}" x="${x(dot.value) + side}" y="${y + 3.5}">${chart.format(dot.value)}</text>`
        : html``
      return html`<g>${title}${stem}${mark(dot.run, x(dot.value), y)}${text}</g>`
    })
    const rule =
      i === 0 ? html`` : html`<line class="rule" x1="0" x2="${WIDTH - RIGHT}" y1="${top}" y2="${top}"/>`
    return html`${rule}<text class="set" x="${LABEL_WIDTH - 10}" y="${top + rowHeight / 2 + 4}"><title>${visibleText(chart.names[i]!)}</title>${shorten(visibleText(chart.names[i]!))}</text>${marks}`
  })
  const middle = (LABEL_WIDTH + WIDTH - RIGHT) / 2
  return html`<figure><svg class="dots" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${chart.label}">${grid}${rows}<text class="axis" x="${middle}" y="${height - 6}">${chart.label}</text></svg></figure>`
}

/** Another shape per run as well as another colour, for eyes and printers that see no colour. */
function mark(run: number, x: number, y: number): Html {
  const style = `mark s${run % 8}`
  switch (run % 4) {
    case 0:
      return html`<circle class="${style}" cx="${x}" cy="${y}" r="4.2"/>`
    case 1:
      return html`<rect class="${style}" x="${round(x - 3.8)}" y="${round(y - 3.8)}" width="7.6" height="7.6"/>`
    case 2:
      return html`<path class="${style}" d="M${x} ${round(y - 5)}l4.8 8.6h-9.6z"/>`
    default:
      return html`<path class="${style}" d="M${x} ${round(y - 5.4)}l5.4 5.4l-5.4 5.4l-5.4 -5.4z"/>`
  }
}

/** Round numbers that enclose the values with a margin on both sides. */
export function niceTicks(values: readonly number[], margin: number): number[] {
  const low = values.length === 0 ? 0 : Math.min(...values)
  const high = values.length === 0 ? 1 : Math.max(...values)
  const span = high - low || Math.abs(high) * 0.1 || 1
  const from = low - margin * span
  const to = high + margin * span
  const rough = (to - from) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!
  const ticks: number[] = []
  for (let i = Math.floor(from / step); i <= Math.ceil(to / step); i++) ticks.push(i === 0 ? 0 : i * step)
  return ticks
}

function tickText(tick: number, ticks: readonly number[]): string {
  const step = ticks[1]! - ticks[0]!
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  return tick.toFixed(decimals).replace('-', '\u2212')
}

function shorten(text: string): string {
  return text.length > 19 ? `${text.slice(0, 18)}\u2026` : text
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
