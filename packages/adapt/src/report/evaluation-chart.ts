import { renderDotChart } from './dot-chart.js'
import { formatDifference, formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { bitsPerByte, evaluationNames, type RunFigures } from './run-figures.js'
import type { SourceColors } from './source-colors.js'

/**
 * The last evaluation: of one run a table of what changed since its first one, of several runs the differences to the
 * first run; the values themselves lie too close together to be told apart in a chart.
 */
export function renderEvaluations(
  runs: readonly ReportRun[],
  figures: readonly RunFigures[],
  colors: SourceColors,
): Html {
  const names = evaluationNames(figures)
  if (names.length === 0) {
    const isMeasured = figures.some((run) => run.evalLoss.size > 0)
    return isMeasured ? html`` : html`<p class="about">No run was evaluated.</p>`
  }
  if (runs.length === 1) return renderChanges(runs[0]!, figures[0]!, names, colors)
  const values = (name: string): number[] => figures.map((run) => run.bitsPerByte.get(name) ?? Number.NaN)
  const [base] = runs
  const differences = renderDotChart({
    label: `difference to ${base!.name} in bits per byte (left is better)`,
    fromZero: true,
    rows: names.flatMap((name) => {
      const [first, ...others] = values(name)
      return others.map((value, i) => {
        const difference = value - first!
        const text = Number.isFinite(difference) ? formatDifference(difference, 'bits') : html``
        const title = `${runs[i + 1]!.name}, ${name}: ${text.markup}`
        const mark = { value: difference, color: colors.of(name), shape: i, title }
        return { name: i === 0 ? name : '', marks: [mark], text }
      })
    }),
  })
  const keys = runs.slice(1).map((run, i) => html`<li>${runKey(i)}${visibleText(run.name)}</li>`)
  const legend = runs.length > 2 ? html`<ul class="keys">${keys}</ul>` : html``
  return html`<h3>Last evaluation against ${visibleText(base!.name)}</h3>${legend}${differences}`
}

/** The shape of the marks of a run. */
function runKey(shape: number): Html {
  return html`<b class="mark still m${shape % 4} v-ink"></b>`
}

function renderChanges(
  run: ReportRun,
  figures: RunFigures,
  names: readonly string[],
  colors: SourceColors,
): Html {
  const first = run.evaluations.reduce<(typeof run.evaluations)[number] | undefined>(
    (least, one) => (least === undefined || one.step < least.step ? one : least),
    undefined,
  )
  const isFirst = first === undefined || first.step === figures.evaluationStep
  const rows = names.map((name) => {
    const last = figures.bitsPerByte.get(name) ?? Number.NaN
    const head = html`<th scope="row">${sourceKey(name, colors)}${anchoredName(run, name)}</th>`
    if (isFirst) return html`<tr>${head}<td>${formatNumber(last, 'bits')}</td></tr>`
    const before = bitsPerByte(first.sources, name)
    const change = last - before
    const verdict = change < 0 ? 'good' : change > 0 ? 'bad' : ''
    return html`<tr>${head}<td>${figure(before)}</td><td>${formatNumber(last, 'bits')}</td><td class="diff ${verdict}">${Number.isFinite(change) ? formatDifference(change, 'bits') : html``}</td><td class="diff share">${Number.isFinite(change) ? html`${formatDifference(change / before, 'percent')}` : html``}</td></tr>`
  })
  const heads = isFirst
    ? html`<th scope="col">step ${formatNumber(figures.evaluationStep, 'count')}</th>`
    : html`<th scope="col">step ${formatNumber(first.step, 'count')}</th><th scope="col">step ${formatNumber(figures.evaluationStep, 'count')}</th><th scope="col" class="diff">change</th><th scope="col" class="diff share"></th>`
  return html`<div class="scroll"><table class="figures"><caption>Bits per byte, lower is better</caption><thead><tr><th scope="col"></th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`
}

function figure(value: number): Html {
  return Number.isFinite(value) ? formatNumber(value, 'bits') : html`<span class="none">n/a</span>`
}

/** The dot in a source's colour that stands before its name in tables. */
export function sourceKey(name: string, colors: SourceColors): Html {
  return html`<span class="key k-${colors.of(name)}"></span>`
}

/** A source's name, and whether the anchors are from it. */
export function anchoredName(run: Pick<ReportRun, 'anchoredSources'>, name: string): Html {
  const isAnchored = run.anchoredSources?.includes(name) === true
  return isAnchored
    ? html`<strong>${visibleText(name)}</strong> <span class="unit">anchored</span>`
    : html`${visibleText(name)}`
}
