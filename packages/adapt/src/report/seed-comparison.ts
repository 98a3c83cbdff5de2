import { moments } from '../record/index.js'
import { formatDifference, formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { evaluationNames, type RunFigures } from './run-figures.js'

/** Runs of one method, as positions in the report. */
interface MethodGroup {
  readonly method: string
  readonly runs: readonly number[]
}

/** Differences of one method to the first one on one evaluation set, in bits per byte. */
export interface PairedDifference {
  readonly mean: number
  /** Sample standard deviation; NaN for a single pair. */
  readonly std: number
  readonly pairs: number
  /** Pairs in which the method is below the first one. */
  readonly won: number
}

/**
 * What the seeds say: a warning when no method has more than one, else means, spreads and differences paired by
 * the setting `seed`.
 */
export function renderSeedComparison(runs: readonly ReportRun[], figures: readonly RunFigures[]): Html {
  if (runs.length < 2) return html``
  const groups = groupByMethod(runs)
  if (groups.every((group) => group.runs.length === 1)) {
    return html`<p class="caution" role="note"><strong>One seed proves nothing.</strong> Each method here has a single run, so a difference between two of them may be chance. Repeat the comparison with at least three seeds before believing it; identical runs with another seed show how large chance is.</p>`
  }
  const [base, ...others] = groups as [MethodGroup, ...MethodGroup[]]
  const head = (group: MethodGroup): Html =>
    html`<th scope="col">${visibleText(group.method)} <span class="unit">${group.runs.length} ${group.runs.length === 1 ? 'run' : 'runs'}</span></th>`
  const rows = evaluationNames(figures).map((name) => {
    const cells = others.map((group) => {
      const paired = comparePairs(runs, figures, base.runs, group.runs, name)
      return html`<td>${renderSpread(group, name, figures)}</td><td class="diff ${verdict(paired)}">${renderPaired(paired)}</td>`
    })
    return html`<tr><th scope="row">${visibleText(name)}</th><td>${renderSpread(base, name, figures)}</td>${cells}</tr>`
  })
  const heads = others.map((group) => html`${head(group)}<th scope="col" class="diff">difference</th>`)
  return html`<h3>By method</h3>
<p class="about">Held-out bits per byte, last evaluation: mean \u00b1 standard deviation over runs. Differences are to \u201c${visibleText(base.method)}\u201d, between runs with the same seed; one that is smaller than its spread is not marked.</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th>${head(base)}${heads}</tr></thead><tbody>${rows}</tbody></table></div>`
}

/** Differences (method - base) over the seeds both have. NaN without any. */
export function comparePairs(
  runs: readonly ReportRun[],
  figures: readonly RunFigures[],
  base: readonly number[],
  method: readonly number[],
  evaluation: string,
): PairedDifference {
  const differences: number[] = []
  for (const i of method) {
    const partner = base.find(
      (j) => runs[j]!.config.seed !== undefined && runs[j]!.config.seed === runs[i]!.config.seed,
    )
    const a = partner === undefined ? undefined : figures[partner]!.bitsPerByte.get(evaluation)
    const b = figures[i]!.bitsPerByte.get(evaluation)
    if (a !== undefined && b !== undefined && Number.isFinite(b - a)) differences.push(b - a)
  }
  const won = differences.filter((difference) => difference < 0).length
  if (differences.length === 0) return { mean: Number.NaN, std: Number.NaN, pairs: 0, won }
  return { ...sampleMoments(differences), pairs: differences.length, won }
}

function verdict({ mean, std }: PairedDifference): string {
  if (!(Math.abs(mean) > std)) return ''
  return mean < 0 ? 'good' : 'bad'
}

function groupByMethod(runs: readonly ReportRun[]): MethodGroup[] {
  const groups = new Map<string, number[]>()
  runs.forEach((run, i) => {
    groups.set(run.method, [...(groups.get(run.method) ?? []), i])
  })
  return [...groups].map(([method, members]) => ({ method, runs: members }))
}

function renderSpread(group: MethodGroup, name: string, figures: readonly RunFigures[]): Html {
  const values = group.runs.flatMap((i) => figures[i]!.bitsPerByte.get(name) ?? [])
  if (values.length === 0) return html`<span class="none">n/a</span>`
  const { mean, std } = sampleMoments(values)
  if (values.length === 1) return formatNumber(mean, 'bits')
  return html`${formatNumber(mean, 'bits')} \u00b1 ${formatNumber(std, 'bits')}`
}

function renderPaired({ mean, std, pairs, won }: PairedDifference): Html {
  if (pairs === 0) return html`<span class="none">no common seed</span>`
  const spread = pairs === 1 ? html`` : html` \u00b1 ${formatNumber(std, 'bits')}`
  return html`${formatDifference(mean, 'bits')}${spread} <span class="unit">${won} of ${pairs} lower</span>`
}

function sampleMoments(values: readonly number[]): { mean: number; std: number } {
  const { mean, std } = moments(values)
  return { mean, std: std * Math.sqrt(values.length / (values.length - 1)) }
}
