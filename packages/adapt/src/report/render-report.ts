import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { renderAlertTable } from './alert-table.js'
import type { ChartSpec } from './chart-spec.js'
import { spellOut } from './diagnostic-charts.js'
import { renderEvaluationCharts } from './evaluation-chart.js'
import { formatNumber } from './format.js'
import { embedJson, Html, html, visibleText } from './html.js'
import { reportClient } from './report-client.js'
import type { ReportInput, ReportRun } from './report-run.js'
import { REPORT_STYLE } from './report-style.js'
import { computeRunFigures, evaluationNames } from './run-figures.js'
import { renderSampleTables } from './sample-tables.js'
import { renderSeedComparison } from './seed-comparison.js'
import { renderSourceTable } from './source-table.js'
import { renderSummaryTable } from './summary-table.js'
import { hasEqualWeights, TrainingCharts } from './training-charts.js'

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/**
 * A report as one HTML file that needs nothing else: no network, no fonts, no other file. All text of the input
 * is shown as text, never read as markup. The same input gives the same page.
 *
 * The first run is the one that the others are compared with. Runs with the same `method` count as its seeds.
 */
export function renderReport(input: ReportInput): string {
  const runs = input.runs.map((run) => ({ ...run, steps: [...run.steps].sort((a, b) => a.step - b.step) }))
  const figures = runs.map(computeRunFigures)
  const names = evaluationNames(figures)
  const charts = new TrainingCharts(runs)
  const specs: ChartSpec[] = []
  const place = (some: readonly ChartSpec[], kind = ''): Html => {
    specs.push(...some)
    return html`<div class="grid${kind}">${some.map(renderFrame)}</div>`
  }

  const sections: { readonly id: string; readonly title: string; readonly body: Html }[] = [
    {
      id: 'summary',
      title: 'Summary',
      body: html`${renderSeedComparison(runs, figures)}${runs.length > 1 ? html`<h3>By run</h3>` : html``}${renderSummaryTable(runs, figures)}`,
    },
    {
      id: 'evaluation',
      title: 'Held-out evaluation',
      body: html`${renderEvaluationCharts(runs, figures)}${renderCurves(charts, names, place)}${renderHeldOut(charts, place)}`,
    },
    { id: 'training', title: 'Training', body: html`${renderToolbar(charts)}${place(charts.overview())}` },
    {
      id: 'weights',
      title: runs.length === 1 ? 'What the model was taught' : 'What each run was taught',
      body: html`${runs.map((run, i) => renderRun(run, i, html`${place(charts.ofRun(run))}${renderSources(run)}${renderAnchors(run, charts, place)}`))}`,
    },
  ]
  const alerted = runs.filter((run) => (run.alerts?.length ?? 0) > 0)
  if (alerted.length > 0) {
    const tables = alerted.map((run) => html`${renderName(run, runs)}${renderAlertTable(run.alerts!)}`)
    sections.push({ id: 'alerts', title: 'Warnings', body: html`${tables}` })
  }
  const sampled = runs.filter((run) => (run.samples?.length ?? 0) > 0)
  if (sampled.length > 0) {
    const tables = sampled.map(
      (run) => html`${renderName(run, runs)}${renderWindow(run)}${renderSampleTables(run.samples!)}`,
    )
    sections.push({ id: 'samples', title: 'Samples', body: html`${tables}` })
  }

  const { script, style, license } = readPlotLibrary()
  const links = sections.map(({ id, title }) => html`<a href="#${id}">${title}</a>`)
  const blocks = sections.map(
    ({ id, title, body }) => html`<section id="${id}"><h2>${title}</h2>${body}</section>`,
  )
  const notes = (input.notes ?? []).map((note) => html`<p>${visibleText(note)}</p>`)
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${visibleText(input.title)}</title>
<style>${style}${new Html(REPORT_STYLE)}</style>
</head>
<body>
<header><h1>${visibleText(input.title)}</h1>${notes}<nav>${links}</nav></header>
<main>
${blocks}
</main>
<footer>Made by ADAPT for TypeScript. Charts by uPlot (MIT licence, in the page source).</footer>
<script type="application/json" id="charts">${embedJson(specs)}</script>
<script>/*
${license}*/
${script}
(${inlineScript(reportClient.toString())})(uPlot, document, window)
</script>
</body>
</html>
`
  return page.markup
}

/** Evaluations over the run: differences in view where there are several runs, the curves themselves on demand. */
function renderCurves(
  charts: TrainingCharts,
  names: readonly string[],
  place: (specs: readonly ChartSpec[]) => Html,
): Html {
  const curves = charts.evaluations(names)
  if (curves.length === 0) return html``
  const differences = charts.evaluationDifferences(names)
  if (differences.length === 0) return html`<h3>Over the run</h3>${place(curves)}`
  return html`<h3>Difference to the first run, over the run</h3>${place(differences)}
<details><summary>Bits per byte over the run</summary>${place(curves)}</details>`
}

function renderHeldOut(charts: TrainingCharts, place: (specs: readonly ChartSpec[]) => Html): Html {
  const curves = charts.heldOutLoss()
  return curves.length === 0 ? html`` : html`<h3>Held-out part of the training data</h3>${place(curves)}`
}

function renderFrame(spec: ChartSpec): Html {
  const about = spec.about === '' ? html`` : html`<p class="about">${spec.about}</p>`
  return html`<div class="chart"><h4>${spec.title}</h4>${about}<div class="plot"></div></div>`
}

function renderToolbar(charts: TrainingCharts): Html {
  const smooth =
    charts.smoothSteps > charts.stride
      ? html`<label><input type="checkbox" id="smoothing" checked> running mean over ${charts.smoothSteps} steps</label>`
      : html``
  const mean =
    charts.stride > 1
      ? html`<span class="about">Each point is the mean of ${charts.stride} steps, a shade their least and largest value.</span>`
      : html``
  return html`<div class="toolbar">${smooth}${mean}<span class="about">Drag to zoom, double-click to go back, click a name to hide its line.</span></div>
<noscript><p class="caution">The charts over steps are drawn by a script, which this viewer does not run. Tables and dot charts are complete without it.</p></noscript>`
}

function renderRun(run: ReportRun, index: number, charts: Html): Html {
  const settings = Object.entries(run.config).map(
    ([key, value]) => html`<dt>${visibleText(key)}</dt><dd>${visibleText(String(value))}</dd>`,
  )
  const equal = hasEqualWeights(run) ? html` \u00b7 every weight is 1` : html``
  return html`<h3><span class="key c${index % 8}"></span>${visibleText(run.name)}</h3><p class="about">${visibleText(run.method)}${equal}</p>
<details><summary>Settings</summary><dl>${settings}</dl></details>${charts}`
}

/** Which of several runs a block is about. */
function renderName(run: ReportRun, runs: readonly ReportRun[]): Html {
  return runs.length === 1 ? html`` : html`<h3>${visibleText(run.name)}</h3>`
}

function renderWindow({ ledger }: ReportRun): Html {
  if (ledger === undefined) return html``
  const { firstStep, lastStep, numSamples } = ledger
  return html`<p class="about">By relative weight, the weight divided by the mean weight of its step, averaged over steps ${firstStep} to ${lastStep}: what the model thinks at the end. ${formatNumber(numSamples, 'count')} different samples were seen in these steps; times seen counts the whole run.</p>`
}

function renderSources({ ledger }: ReportRun): Html {
  return ledger === undefined ? html`` : renderSourceTable(ledger)
}

function renderAnchors(
  run: ReportRun,
  charts: TrainingCharts,
  place: (specs: readonly ChartSpec[], kind: string) => Html,
): Html {
  const { charts: changing, constants } = charts.anchorsOf(run)
  if (changing.length === 0 && constants.length === 0) return html``
  const refreshes = run.refreshes!.length
  const rows = constants.map(
    ([name, value]) => html`<dt>${spellOut(name)}</dt><dd>${formatNumber(value, 'plain')}</dd>`,
  )
  const table = constants.length > 0 ? html`<dl>${rows}</dl>` : html``
  const times = refreshes === 1 ? html`one refresh` : html`${refreshes} refreshes`
  return html`<h4 class="part">Anchors over ${times}</h4>${table}${changing.length > 0 ? place(changing, ' many') : html``}`
}

/** The chart library as it lies in node_modules, with its licence. */
function readPlotLibrary(): { script: Html; style: Html; license: Html } {
  const script = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js')
  const dist = dirname(script)
  const license = readFileSync(join(dist, '..', 'LICENSE'), 'utf8').replaceAll('*/', '* /')
  return {
    script: inlineScript(readFileSync(script, 'utf8')),
    style: new Html(readFileSync(join(dist, 'uPlot.min.css'), 'utf8').replaceAll('</', '<\\/')),
    license: inlineScript(license),
  }
}

/** Code of ours or of the library, kept from ending the element it stands in. */
function inlineScript(code: string): Html {
  return new Html(code.replace(/<\/(script)/gi, '<\\/$1').replaceAll('<!--', '<\\!--'))
}
