import { averageTasks, headlineFigures, type TaskFigure } from '../record/index.js'
import type { ChartSpec } from './chart-spec.js'
import { type DotRow, renderDotChart } from './dot-chart.js'
import { withCommonRange } from './evaluation-curves.js'
import { formatDifference, formatNumber, type NumberFormat } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportTasks, TaskAnswer } from './report-tasks.js'
import { SourceColors } from './source-colors.js'
import { renderTaskAnswers } from './task-answers.js'

/** Tasks of one run, or of one evaluation alone. */
export interface TaskRun {
  readonly name: string
  /** Of the column of its figures, where the step of the run says nothing. */
  readonly heading?: string
  readonly tasks: readonly ReportTasks[]
  readonly answers: readonly TaskAnswer[]
}

/** Half width of a 95 % interval in standard errors. */
const Z = 1.96

/**
 * Benchmark tasks by run: the last evaluation with intervals, anchored against unseen, the way there over the steps, all figures, and
 * single documents. Nothing where no run has any.
 *
 * @param place  Draws charts over steps; without it there are none.
 */
export function renderTaskSection(
  runs: readonly TaskRun[],
  place: (specs: readonly ChartSpec[]) => Html = () => html``,
): Html {
  const shown = withCommonMarks(runs.filter(({ tasks }) => tasks.length > 0))
  if (shown.length === 0) return html``
  const names = [...new Set(shown.flatMap((run) => headlineFigures(lastOf(run)).map(({ task }) => task)))]
  const colors = new SourceColors(names)
  return html`${renderIntervals(shown, names, colors)}${place(curves(shown, names, colors))}${renderFigures(shown)}${renderTaskAnswers(shown)}`
}

const lastOf = ({ tasks }: TaskRun): readonly TaskFigure[] => tasks.at(-1)!.figures

/** In order; and what the anchors of one run share data with is anchored for all. */
function withCommonMarks(runs: readonly TaskRun[]): TaskRun[] {
  const all = runs.flatMap(({ tasks }) => tasks.flatMap(({ figures }) => figures))
  const isKnown = all.some(({ anchored }) => anchored !== undefined)
  const anchored = new Set(all.filter((figure) => figure.anchored === true).map(({ task }) => task))
  const mark = (figure: TaskFigure): TaskFigure =>
    isKnown && figure.kind === 'task' ? { ...figure, anchored: anchored.has(figure.task) } : figure
  return runs.map((run) => ({
    ...run,
    tasks: [...run.tasks]
      .sort((a, b) => a.step - b.step)
      .map(({ step, figures }) => ({ step, figures: figures.map(mark) })),
  }))
}

/** Shares of right answers: anchored tasks, then unseen ones, then the averages; a shape for each run. */
function renderIntervals(runs: readonly TaskRun[], names: readonly string[], colors: SourceColors): Html {
  if (names.length === 0) return html``
  const mark = (i: number, color: string, title: string, value: number, error: number | null) => ({
    ...{ value, color, shape: i, title },
    ...(error === null || !Number.isFinite(error)
      ? {}
      : { interval: [Math.max(0, value - Z * error), Math.min(1, value + Z * error)] as const }),
  })
  const rows = (
    name: string,
    found: readonly { readonly value: number; readonly error: number | null; readonly color: string }[],
  ): DotRow[] =>
    found.map(({ value, error, color }, i) => ({
      name: i === 0 ? name : '',
      marks: [mark(i, color, `${runs[i]!.name}: ${value.toFixed(4)}`, value, error)],
      text: html`${formatNumber(value, 'ratio')}`,
    }))
  const figures = runs.map((run) => new Map(headlineFigures(lastOf(run)).map((one) => [one.task, one])))
  const none = { value: Number.NaN, error: null }
  const ofTask = (name: string): DotRow[] =>
    rows(
      figures.flatMap((byName) => byName.get(name) ?? [])[0]!.alias,
      figures.map((byName) => ({ ...none, ...byName.get(name), color: colors.of(name) })),
    )
  const ofKind = (isAnchored: boolean | undefined): DotRow[] => {
    const own = names.filter((name) => figures.some((byName) => byName.get(name)?.anchored === isAnchored))
    if (own.length === 0 || isAnchored === undefined) return own.flatMap(ofTask)
    return [{ name: isAnchored ? 'anchored:' : 'unseen:', marks: [] }, ...own.flatMap(ofTask)]
  }
  const averages = runs.map((run) => averageTasks(lastOf(run)))
  const averageNames = [...new Set(averages.flatMap((some) => some.map(({ name }) => name)))]
  const ofAverage = (name: string): DotRow[] =>
    rows(
      name,
      averages.map((some) => ({ ...none, ...some.find((one) => one.name === name), color: 'ink' })),
    )
  const keys = runs.map(
    (run, i) => html`<li><b class="mark still m${i % 4} v-ink"></b>${visibleText(run.name)}</li>`,
  )
  const ofAverages: DotRow[] =
    averageNames.length === 0 ? [] : [{ name: 'averages:', marks: [] }, ...averageNames.flatMap(ofAverage)]
  const all = [...[true, false, undefined].flatMap(ofKind), ...ofAverages]
  const ends = all
    .flatMap(({ marks }) => marks.flatMap(({ value, interval }) => interval ?? [value]))
    .filter(Number.isFinite)
  const chart = renderDotChart({
    label: 'share of right answers; line: 95 % interval over documents',
    fromZero: false,
    rows: all,
    // Ticks may lie beyond the values, but not beyond what a share can be.
    range: rangeOf(ends),
  })
  return html`${runs.length > 1 ? html`<ul class="keys">${keys}</ul>` : html``}${chart}`
}

/** Tenths around shares; never empty. */
function rangeOf(shares: readonly number[]): readonly [number, number] {
  if (shares.length === 0) return [0, 1]
  const low = Math.min(0.9, Math.floor(10 * Math.min(...shares)) / 10)
  return [low, Math.max(low + 0.1, Math.ceil(10 * Math.max(...shares)) / 10)]
}

/** Shares of right answers over the steps of each run that was evaluated more than once. */
function curves(runs: readonly TaskRun[], names: readonly string[], colors: SourceColors): ChartSpec[] {
  const charts = runs.flatMap(({ name: runName, tasks }): ChartSpec[] => {
    if (tasks.length < 2 || names.length === 0) return []
    const byStep = tasks.map(({ figures }) => ({
      tasks: new Map(headlineFigures(figures).map((figure) => [figure.task, figure])),
      averages: new Map(averageTasks(figures).map((average) => [average.name, average.value])),
    }))
    const series = (label: string, pick: (at: (typeof byStep)[number]) => number | undefined) => ({
      label,
      points: tasks.length <= 60,
      sparse: true,
      values: byStep.map((at) => finite(pick(at))),
    })
    const own = names.map((name) => ({
      ...series(aliasOf(tasks, name), ({ tasks: at }) => at.get(name)?.value),
      color: colors.of(name),
      unnamed: colors.own(name) === undefined && names.length > 12,
    }))
    const kinds = byStep.some(({ averages }) => averages.has('unseen') && averages.has('anchored'))
      ? (['anchored', 'unseen'] as const)
      : (['macro'] as const)
    const means = kinds
      .filter((kind) => byStep.some(({ averages }) => averages.has(kind)))
      .map((kind, i) => ({
        ...series(`${kind} average`, ({ averages }) => averages.get(kind)),
        ...{ color: 'ink', width: 3, strong: true, ...(i === 0 ? {} : { dash: [7, 4] as const }) },
      }))
    return [
      {
        title: `Tasks over the run${runs.length === 1 ? '' : `: ${visibleText(runName)}`}`,
        about: 'Share of right answers at each evaluation: higher is better.',
        yLabel: 'share of right answers',
        ...{ smoothPoints: 1, wide: true, named: true },
        tables: [{ steps: tasks.map(({ step }) => step), series: [...own, ...means] }],
      },
    ]
  })
  return withCommonRange(charts)
}

function aliasOf(tasks: readonly ReportTasks[], name: string): string {
  const found = tasks
    .flatMap(({ figures }) => figures)
    .find(({ task, kind }) => kind === 'task' && task === name)
  return visibleText(found?.alias ?? name)
}

/** Every figure of the last evaluation; of a single run with what changed since its first. */
function renderFigures(runs: readonly TaskRun[]): Html {
  const keyOf = ({ kind, task, metric, filter }: TaskFigure) => JSON.stringify([kind, task, metric, filter])
  const byRun = runs.map((run) => new Map(lastOf(run).map((figure) => [keyOf(figure), figure])))
  const all = new Map(byRun.flatMap((figures) => [...figures]))
  const first = runs.length === 1 && runs[0]!.tasks.length > 1 ? runs[0]!.tasks[0] : undefined
  const before = new Map(first?.figures.map((figure) => [keyOf(figure), figure.value] as const) ?? [])
  let last = ''
  const rows = [...all].map(([key, figure]) => {
    const head = `${figure.kind} ${figure.task}`
    const name = head === last ? html`` : nameOf(figure)
    last = head
    const cells = byRun.map((figures) => html`<td>${shownValue(figures.get(key))}</td>`)
    const change = figure.value - (before.get(key) ?? Number.NaN)
    const isBetter = figure.higherIsBetter ? change > 0 : change < 0
    const verdict = !Number.isFinite(change) || change === 0 ? '' : isBetter ? 'good' : 'bad'
    const changed =
      first === undefined
        ? html``
        : html`<td class="diff ${verdict}">${Number.isFinite(change) ? formatDifference(change, formatOf(figure.value)) : html``}</td>`
    const metric = figure.filter === 'none' ? figure.metric : `${figure.metric} (${figure.filter})`
    return html`<tr><th scope="row">${name}</th><td class="text">${visibleText(metric)}</td>${cells}${changed}<td>${formatNumber(figure.documents, 'count')}</td><td>${figure.numFewShot ?? ''}</td></tr>`
  })
  const heads = runs.map((run) => {
    const step = html`step ${formatNumber(run.tasks.at(-1)!.step, 'count')}`
    return html`<th scope="col">${run.heading ?? (runs.length === 1 ? step : html`${visibleText(run.name)}`)}</th>`
  })
  const since =
    first === undefined
      ? html``
      : html`<th scope="col" class="diff">since step ${formatNumber(first.step, 'count')}</th>`
  return html`<h3>All figures</h3><p class="about">With the standard error over documents.</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th><th scope="col" class="text">metric</th>${heads}${since}<th scope="col">documents</th><th scope="col">shots</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

function nameOf(figure: TaskFigure): Html {
  const name = visibleText(figure.alias)
  if (figure.kind === 'group') return html`${name} <span class="unit">group</span>`
  if (figure.anchored === undefined) return html`${name}`
  return figure.anchored
    ? html`<strong>${name}</strong> <span class="unit">anchored</span>`
    : html`${name} <span class="unit">unseen</span>`
}

function shownValue(figure: TaskFigure | undefined): Html {
  if (figure === undefined) return html`<span class="none">n/a</span>`
  const { value, error } = figure
  const shown = formatNumber(value, formatOf(value))
  return error === null
    ? shown
    : html`${shown} <span class="unit">\u00b1 ${formatNumber(error, 'ratio')}</span>`
}

/** Shares have three digits; perplexities may be thousands. */
const formatOf = (value: number): NumberFormat => (Math.abs(value) < 10 ? 'ratio' : 'plain')

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? Number(value.toPrecision(6)) : null
}
