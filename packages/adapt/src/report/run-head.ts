import { formatDuration, formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import { renderFacts } from './page-shell.js'
import type { ReportRun, RunAbout } from './report-run.js'
import type { RunFigures } from './run-figures.js'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

type Fact = readonly [name: string, value: Html]

/**
 * What was trained, on what and how, and how far it came. Of several runs: what they have in common, since the first
 * one is what the others are compared with.
 */
export function renderHead(runs: readonly ReportRun[], figures: readonly RunFigures[]): Html {
  const each = runs.map((run, i) => factsOf(run, figures[i]!))
  const [first] = each
  if (first === undefined) return html``
  const isShared = ([name, value]: Fact): boolean =>
    each.every((facts) => facts.some(([other, shown]) => other === name && shown.markup === value.markup))
  const shared = first.filter((fact) => fact[0] === 'started' || isShared(fact))
  return renderFacts(shared)
}

function factsOf(run: ReportRun, figures: RunFigures): Fact[] {
  const { about = {} } = run
  const facts: (Fact | undefined)[] = [
    about.started === undefined ? undefined : ['started', html`${formatDate(about.started)}`],
    ['method', html`${visibleText(run.method)}`],
    modelFact(about),
    dataFact(about),
    anchorFact(run, about),
    batchFact(about),
    rateFact(about),
    stepsFact(run, figures),
    costFact(figures),
  ]
  return facts.filter((fact) => fact !== undefined)
}

/** In UTC, so that a page does not depend on where it is made. */
export function formatDate(seconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return 'unknown'
  const [, , day, time] = /^(\d+-\d+)-(\d+)T(\d+:\d+)/.exec(date.toISOString()) ?? []
  return `${Number(day)} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}, ${time} UTC`
}

function modelFact({ model, parameters, trainedParameters }: RunAbout): Fact | undefined {
  if (model === undefined) return undefined
  if (parameters === undefined) return ['model', html`${visibleText(model)}`]
  const trained =
    trainedParameters === undefined || trainedParameters === parameters
      ? html``
      : html`, ${formatSize(trainedParameters)} trained`
  return [
    'model',
    html`${visibleText(model)} <span class="unit">${formatSize(parameters)} parameters${trained}</span>`,
  ]
}

function dataFact({ files, samples, tokens }: RunAbout): Fact | undefined {
  if (samples === undefined || tokens === undefined) return undefined
  const from = files === undefined ? html`` : html` in ${plural(files, 'file')}`
  return [
    'data',
    html`${formatSize(tokens)} tokens <span class="unit">${formatNumber(samples, 'count')} samples${from}</span>`,
  ]
}

function anchorFact({ anchoredSources = [] }: ReportRun, { anchors = 0 }: RunAbout): Fact | undefined {
  if (anchors === 0) return undefined
  const from =
    anchoredSources.length === 0
      ? html``
      : html` <span class="unit">${anchoredSources.map(visibleText).join(', ')}</span>`
  return ['anchors', html`${formatNumber(anchors, 'count')}${from}`]
}

function batchFact({ batchSize, maxLength, packing }: RunAbout): Fact | undefined {
  if (batchSize === undefined) return undefined
  const length = maxLength === undefined ? html`` : html` \u00d7 ${formatNumber(maxLength, 'count')} tokens`
  const packed = packing === true ? html` <span class="unit">packed</span>` : html``
  return ['batch', html`${formatNumber(batchSize, 'count')}${length}${packed}`]
}

function rateFact({ learningRate, schedule }: RunAbout): Fact | undefined {
  if (learningRate === undefined) return undefined
  const shape = schedule === undefined ? html`` : html` <span class="unit">${visibleText(schedule)}</span>`
  return ['learning rate', html`${formatNumber(learningRate, 'plain')}${shape}`]
}

function stepsFact({ about = {} }: ReportRun, figures: RunFigures): Fact {
  const { totalSteps, status } = about
  const of =
    totalSteps === undefined || totalSteps === figures.steps
      ? html``
      : html` of ${formatNumber(totalSteps, 'count')}`
  const end =
    status === 'interrupted' || status === 'failed' ? html` <span class="unit">${status}</span>` : html``
  return ['steps', html`${formatNumber(figures.steps, 'count')}${of}${end}`]
}

function costFact({ trainSeconds, tokens, steps }: RunFigures): Fact | undefined {
  if (steps === 0) return undefined
  return [
    'trained for',
    html`${formatDuration(trainSeconds)} <span class="unit">${formatSize(tokens)} tokens</span>`,
  ]
}

function plural(count: number, name: string): Html {
  return html`${formatNumber(count, 'count')} ${name}${count === 1 ? '' : 's'}`
}

/** 990 000 as 0.99 M. */
function formatSize(count: number): string {
  const units = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e5, 'M'],
    [1e3, 'k'],
  ] as const
  for (const [size, unit] of units) {
    const whole = unit === 'M' ? 1e6 : size
    if (count >= size) return `${Number((count / whole).toPrecision(3))}\u202f${unit}`
  }
  return String(count)
}
