import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { AlertEvent } from '../record/index.js'
import { renderAlertTable } from './alert-table.js'
import { renderAnchorTable } from './anchor-table.js'
import type { ChartSpec } from './chart-spec.js'
import { type Curriculum, computeCurriculum, curriculumChart, curriculumRange } from './curriculum-chart.js'
import { endLabels } from './end-labels.js'
import { renderEvaluations } from './evaluation-chart.js'
import { evaluationChanges, evaluationDifferences, heldOutLoss } from './evaluation-curves.js'
import { formatNumber } from './format.js'
import { renderGateSummary } from './gate-summary.js'
import { embedJson, Html, html, visibleText } from './html.js'
import { type PageSection, renderPage } from './page-shell.js'
import { policyChart } from './policy-chart.js'
import { reportClient } from './report-client.js'
import type { ReportInput, ReportRun } from './report-run.js'
import { computeRunFigures, evaluationNames, type RunFigures } from './run-figures.js'
import { renderHead } from './run-head.js'
import { renderSampleTables } from './sample-tables.js'
import { renderSeedComparison } from './seed-comparison.js'
import { MAX_COLORS, SourceColors } from './source-colors.js'
import { renderSourceTable } from './source-table.js'
import { renderSummaryTable } from './summary-table.js'
import { renderTaskSection } from './task-section.js'
import { hasEqualWeights, TrainingCharts } from './training-charts.js'

/** Collects the charts of a page in the order of their frames. */
type Place = (specs: readonly ChartSpec[]) => Html

/**
 * A report as one HTML file that needs nothing else: no network, no fonts, no other file. All text of the input
 * is shown as text, never read as markup. The same input gives the same page.
 *
 * The first run is the one that the others are compared with. Runs with the same `method` count as its seeds.
 */
export function renderReport(input: ReportInput): string {
  const runs = withAnchoredSources(input.runs)
  const figures = runs.map(computeRunFigures)
  const curricula = runs.map(({ steps }) => computeCurriculum(steps))
  const colors = sourceColors(runs, figures)
  const charts = new TrainingCharts(runs)
  const specs: ChartSpec[] = []
  const place: Place = (some) => {
    specs.push(...some)
    return some.length === 0 ? html`` : html`<div class="grid">${some.map(renderFrame)}</div>`
  }
  const isTrained = runs.some(({ steps }) => steps.length > 0)
  const sections: PageSection[] = [
    { id: 'curriculum', title: 'Curriculum', body: renderCurricula(runs, curricula, colors, place) },
    {
      id: 'evaluation',
      title: 'Held-out evaluation',
      body: renderEvaluation(runs, figures, colors, place),
    },
    {
      id: 'tasks',
      title: 'Benchmark tasks',
      body: renderTaskSection(
        runs.map(({ name, tasks = [], taskAnswers = [] }) => ({ name, tasks, answers: taskAnswers })),
        place,
      ),
    },
    {
      id: 'figures',
      title: 'Figures',
      body: html`${renderSummaryTable(runs, figures, colors)}${renderSettings(runs)}`,
    },
    {
      id: 'training',
      title: 'Training',
      body: isTrained ? html`${renderToolbar(charts)}${place(charts.overview())}` : html``,
    },
    {
      id: 'weights',
      title: 'Weights and scores',
      body: html`${runs.map((run) => renderWeights(run, runs, charts, colors, place))}`,
    },
  ]
  const alerted = runs.filter((run) => warningsOf(run).length > 0)
  if (alerted.length > 0) {
    const tables = alerted.map((run) => html`${renderName(run, runs)}${renderAlertTable(warningsOf(run))}`)
    sections.push({ id: 'alerts', title: 'Warnings', body: html`${tables}` })
  }
  const sampled = runs.filter((run) => (run.samples?.length ?? 0) > 0)
  if (sampled.length > 0) {
    const tables = sampled.map(
      (run) => html`${renderName(run, runs)}${renderWindow(run)}${renderSampleTables(run.samples!, colors)}`,
    )
    sections.push({ id: 'samples', title: 'Samples', body: html`${tables}` })
  }
  const { script, style, license } = readPlotLibrary()
  const notes = (input.notes ?? []).map((note) => html`<p>${visibleText(note)}</p>`)
  return renderPage({
    title: input.title,
    head: html`${notes}${renderHead(runs, figures)}${renderAlertCount(runs)}`,
    sections: sections.filter(({ body }) => body.markup !== ''),
    credit: ' Charts by uPlot (MIT licence, in the page source).',
    scripts: {
      style,
      body: html`<script type="application/json" id="charts">${embedJson(specs)}</script>
<script>/*
${license}*/
${script}
(${inlineScript(reportClient.toString())})(uPlot, document, window, ${inlineScript(endLabels.toString())})
</script>
`,
    },
  })
}

/** Steps in order; and runs of the same data, some of them without anchors, agree on the anchored sources. */
function withAnchoredSources(runs: readonly ReportRun[]): ReportRun[] {
  const named = new Set(runs.flatMap((run) => run.anchoredSources ?? []))
  const seen = new Set<string>()
  for (const { steps, evaluations } of runs) {
    for (const { massBySource } of steps) for (const name of Object.keys(massBySource)) seen.add(name)
    for (const { sources } of evaluations) for (const name of Object.keys(sources)) seen.add(name)
  }
  // Anchors in a file of another name are from no source of the data.
  const anchoredSources = [...named].filter((name) => seen.has(name)).sort()
  return runs.map((run) => ({
    ...run,
    steps: [...run.steps].sort((a, b) => a.step - b.step),
    anchoredSources,
  }))
}

/** Of many sources the anchored ones and those that the weights moved most have a colour. */
function sourceColors(runs: readonly ReportRun[], figures: readonly RunFigures[]): SourceColors {
  const trained = [...new Set(figures.flatMap(({ shares }) => [...shares.keys()]))]
  const moved = (name: string): number =>
    figures.reduce((most, { shares }) => {
      const { mass = 0, uniform = 0 } = shares.get(name) ?? {}
      return Math.max(most, Math.abs(mass - uniform))
    }, 0)
  const byMove = trained
    .map((name) => ({ name, distance: moved(name) }))
    .sort((a, b) => b.distance - a.distance || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_COLORS)
  const anchored = runs.flatMap((run) => run.anchoredSources ?? [])
  const names = [...trained, ...evaluationNames(figures)]
  return new SourceColors(names, [...anchored, ...byMove.map(({ name }) => name)])
}

/** What counted for how much over a run; a sentence where that is the same throughout. */
function renderCurricula(
  runs: readonly ReportRun[],
  curricula: readonly Curriculum[],
  colors: SourceColors,
  place: Place,
): Html {
  const isDrawn = (run: ReportRun, i: number): boolean =>
    !hasEqualWeights(run) && curricula[i]!.sources.size > 1
  const range = curriculumRange(curricula.filter((_, i) => isDrawn(runs[i]!, i)))
  const draw = (run: ReportRun, i: number): Html => {
    const policies = run.policies ?? []
    const shares = policies.length > 0 ? place([policyChart(policies, colors)]) : html``
    if (isDrawn(run, i)) return html`${shares}${place([curriculumChart(run, curricula[i]!, colors, range)])}`
    return policies.length > 0 ? shares : renderFlat(run, curricula[i]!)
  }
  return html`${runs.map((run, i) => html`${renderName(run, runs)}${draw(run, i)}${renderVariance(run)}`)}`
}

function renderFlat(run: ReportRun, { sources }: Curriculum): Html {
  if (run.steps.length === 0) return html`<p>No step was recorded.</p>`
  if (hasEqualWeights(run) && run.preparation !== undefined)
    return html`<p>Every weight is 1: what the method made before training decides what is read, and all that is read counts alike.</p>`
  if (hasEqualWeights(run))
    return html`<p>Every weight is 1: the run is uniform, so each source counts for its share of the data.</p>`
  if (sources.size === 0) return html`<p>No step had any weight.</p>`
  return html`<p>The data has one source, so weights only tell its samples apart: see <a href="#weights">Weights and scores</a>.</p>`
}

/** Whether the weights were coarse, by source, or fine, by sample. */
function renderVariance({ ledger }: ReportRun): Html {
  if (ledger === undefined || ledger.sources.length < 2) return html``
  const { betweenSources: late, betweenSourcesEarly: early = Number.NaN } = ledger
  if (!Number.isFinite(late)) return html``
  const parts = Number.isFinite(early)
    ? html`${formatNumber(early, 'percent')} in the first quarter of the run, ${formatNumber(late, 'percent')} in the last`
    : html`${formatNumber(late, 'percent')} in the last quarter of the run`
  return html`<p>Coarse or fine? Of the variance of the weights ${parts} lay between the sources, the rest between samples of the same source.</p>`
}

function warningsOf({ alerts = [] }: ReportRun): readonly AlertEvent[] {
  return alerts.filter(({ severity }) => severity !== 'info')
}

/** What a run tells of its evaluations without a warning: which was the best, and whether it ended the run. */
function renderNotes(runs: readonly ReportRun[]): Html {
  const lines = runs.flatMap((run) => {
    const last = new Map(
      (run.alerts ?? []).flatMap(({ severity, code, message }) =>
        severity === 'info' ? [[code, message]] : [],
      ),
    )
    const name = runs.length === 1 ? html`` : html`<strong>${visibleText(run.name)}</strong> `
    return [...last.values()].map((message) => html`<p class="note">${name}${visibleText(message)}</p>`)
  })
  return html`${lines}`
}

/** How many warnings there are, where they cannot be overlooked. */
function renderAlertCount(runs: readonly ReportRun[]): Html {
  const alerts = runs.flatMap(warningsOf)
  if (alerts.length === 0) return html``
  const codes = [...new Set(alerts.map(({ code }) => code))].map(visibleText).join(', ')
  return html`<p class="caution" role="note"><a href="#alerts">${alerts.length === 1 ? html`1 warning` : html`${formatNumber(alerts.length, 'count')} warnings`}</a>: ${codes}</p>`
}

function renderEvaluation(
  runs: readonly ReportRun[],
  figures: readonly RunFigures[],
  colors: SourceColors,
  place: Place,
): Html {
  const last = renderEvaluations(runs, figures, colors)
  const curves = renderCurves(runs, figures, colors, place)
  const notes = renderNotes(runs)
  if (runs.length > 1) return html`${renderSeedComparison(runs, figures)}${last}${curves}${notes}`
  return curves.markup === '' || last.markup === ''
    ? html`${last}${curves}${notes}`
    : html`<div class="beside">${last}<div>${curves}</div></div>${notes}`
}

/** Evaluations over the run: how each changed, and with several runs how they differ from the first one. */
function renderCurves(
  runs: readonly ReportRun[],
  figures: readonly RunFigures[],
  colors: SourceColors,
  place: Place,
): Html {
  const context = { names: evaluationNames(figures), colors }
  const changes = evaluationChanges(runs, context)
  const differences = evaluationDifferences(runs, context)
  const loss = heldOutLoss(runs)
  const held = loss.length === 0 ? html`` : html`<h3>Held-out part of the training data</h3>${place(loss)}`
  if (differences.length === 0) return html`${place(changes)}${held}`
  return html`<h3>Over the run</h3>${place(differences)}
<details><summary>Change since the first evaluation, run by run</summary>${place(changes)}</details>${held}`
}

function renderFrame(spec: ChartSpec): Html {
  const about = spec.about === '' ? html`` : html`<p class="about">${spec.about}</p>`
  return html`<div class="chart${spec.wide === true ? ' wide' : ''}"><h4>${spec.title}</h4>${about}<div class="plot"></div></div>`
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

function renderSettings(runs: readonly ReportRun[]): Html {
  const lists = runs.map((run) => {
    const settings = Object.entries(run.config).map(
      ([key, value]) => html`<dt>${visibleText(key)}</dt><dd>${visibleText(String(value))}</dd>`,
    )
    return html`${renderName(run, runs)}<dl><dt>method</dt><dd>${visibleText(run.method)}</dd>${settings}</dl>`
  })
  return runs.length === 0 ? html`` : html`<details><summary>Settings</summary>${lists}</details>`
}

/** What the weights of a run did, and why: spread, scores, sources, gate and anchors. */
function renderWeights(
  run: ReportRun,
  runs: readonly ReportRun[],
  charts: TrainingCharts,
  colors: SourceColors,
  place: Place,
): Html {
  const table = run.ledger === undefined ? html`` : renderSourceTable(run.ledger, run, colors)
  const body = html`${place(charts.ofRun(run))}${renderGateSummary(run)}${table}${renderAnchorTable(run)}`
  return body.markup === '' ? body : html`${renderName(run, runs)}${body}`
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
