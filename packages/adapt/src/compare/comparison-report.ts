import { join } from 'node:path'
import { anchoredName, sourceKey } from '../report/evaluation-chart.js'
import { formatNumber } from '../report/format.js'
import { type Html, html, visibleText } from '../report/html.js'
import { type PageSection, renderFacts, renderPage } from '../report/page-shell.js'
import { MAX_COLORS, SourceColors } from '../report/source-colors.js'
import { writePage } from '../report/write-page.js'
import type { ComparedArm, Comparison, Measure } from './compare-cells.js'
import type { ComparedTask } from './compare-tasks.js'
import { comparisonTables } from './comparison-tables.js'
import { minus, renderForest } from './forest.js'
import { floorText, type TextTable } from './text-table.js'

/**
 * Writes `report.html` of a study: differences with intervals over the noise floor, then the tables. One page that needs
 * no script and no other file. Returns its path.
 * @throws {ResourceError} REPORT_WRITE.
 */
export function writeComparisonReport({
  folder,
  comparison,
}: {
  readonly folder: string
  readonly comparison: Comparison
}): string {
  const path = join(folder, 'report.html')
  writePage(path, renderComparisonPage(comparison))
  return path
}

/** The page that {@link writeComparisonReport} writes, as HTML. All names are shown as text, never read as markup. */
export function renderComparisonPage(comparison: Comparison): string {
  const colors = sourceColors(comparison)
  const sections: PageSection[] = [
    { id: 'differences', title: 'Differences', body: renderDifferences(comparison, colors) },
    { id: 'tasks', title: 'Benchmark tasks', body: renderTasks(comparison) },
    { id: 'weights', title: 'Relative weights', body: renderRelativeWeights(comparison, colors) },
    { id: 'tables', title: 'Tables', body: html`${comparisonTables(comparison).map(renderTextTable)}` },
  ]
  return renderPage({
    title: `Comparison with ${comparison.baseline}`,
    head: renderHead(comparison),
    sections: sections.filter(({ body }) => body.markup !== ''),
  })
}

/** By the names of the same sources as in the reports of the study's runs, so that both agree. */
function sourceColors({ arms, measures, targets }: Comparison): SourceColors {
  const trained = arms.flatMap(({ relativeWeights }) => Object.entries(relativeWeights))
  const byMove = trained
    .map(([name, weight]) => ({ name, distance: Math.abs(Math.log(weight)) }))
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => b.distance - a.distance)
    .map(({ name }) => name)
  const evaluated = measures.flatMap(({ isGroup, sources }) => (isGroup ? [] : sources))
  return new SourceColors(
    [...trained.map(([name]) => name), ...evaluated],
    [...targets, ...new Set([...byMove, ...evaluated])].slice(0, MAX_COLORS),
  )
}

function renderHead({ arms, seeds, targets, missing, cautions, baseline }: Comparison): Html {
  const done = arms.reduce((sum, arm) => sum + arm.seeds.length, 0)
  const facts: (readonly [string, Html])[] = [
    ['arms', html`${arms.map(({ arm }) => visibleText(arm)).join(', ')}`],
    ['baseline', html`${visibleText(baseline)}`],
    ['seeds', html`${seeds.join(', ')}`],
    ['cells', missing.length === 0 ? html`${done}` : html`${done} of ${done + missing.length}`],
    ...(targets.length > 0 ? [['targets', html`${targets.map(visibleText).join(', ')}`] as const] : []),
  ]
  const list = cautions.map((caution) => html`<li>${visibleText(caution)}</li>`)
  return html`${renderFacts(facts)}${cautions.length > 0 ? html`<ul class="caution">${list}</ul>` : html``}`
}

function renderDifferences(comparison: Comparison, colors: SourceColors): Html {
  const groups = comparison.measures.filter(({ isGroup }) => isGroup)
  const sources = comparison.measures.filter(({ isGroup }) => !isGroup)
  const charts = (some: readonly Measure[]): Html =>
    html`<div class="pair level">${some.map((measure) => renderMeasure(comparison, measure, colors))}</div>`
  return html`<p class="about">Held-out bits per byte, paired by seed: left of zero is better than ${visibleText(comparison.baseline)}. Filled mark and line: mean and 95 % interval. Rings: one seed each. Grey band: the noise floor, where differences mean nothing.</p>
${groups.length > 0 ? charts(groups) : charts(sources)}
${groups.length > 0 ? html`<details><summary>Every source</summary>${charts(sources)}</details>` : html``}`
}

function renderMeasure(comparison: Comparison, measure: Measure, colors: SourceColors): Html {
  const place = comparison.measures.indexOf(measure)
  const [source] = measure.sources
  const chart = renderForest({
    label: `difference to ${comparison.baseline} in bits per byte`,
    color: measure.isGroup || source === undefined ? 'ink' : colors.of(source),
    arms: comparison.arms.map(({ arm, measures }) => ({ arm, paired: measures[place]!.paired })),
    floor: measure.floor,
  })
  const key = measure.isGroup ? html`` : sourceKey(measure.name, colors)
  const of = measure.isGroup ? html`${visibleText(measure.sources.join(', '))}. ` : html``
  return html`<div><h4 class="part">${key}${visibleText(measure.name)}</h4><p class="about">${of}${floorText(measure.floor)}</p>${chart}</div>`
}

/** Tasks like bits per byte; a single task has no average to begin with. */
function renderTasks({ tasks, baseline }: Comparison): Html {
  if (tasks.length === 0) return html``
  const chart = ({ name, isAverage, anchored, floor, arms, metric, documents }: ComparedTask): Html => {
    const label = `difference to ${baseline} in the share of right answers`
    const mark = anchored === undefined ? '' : anchored ? ' anchored' : ' unseen'
    const title = html`${visibleText(name)}${isAverage ? ' average' : html` <span class="unit">${mark}</span>`}`
    const about = `${visibleText(metric)} on ${documents.toLocaleString('en-US')} documents. ${floorText(floor)}`
    return html`<div><h4 class="part">${title}</h4><p class="about">${about}</p>${renderForest({ label, color: 'ink', arms, floor })}</div>`
  }
  const charts = (some: readonly ComparedTask[]) => html`<div class="pair level">${some.map(chart)}</div>`
  const averages = tasks.filter(({ isAverage }) => isAverage)
  const single = tasks.filter(({ isAverage }) => !isAverage)
  return html`<p class="about">Share of right answers, paired by seed: right of zero is better than ${visibleText(baseline)}. Marks as above.</p>
${averages.length === 0 ? charts(single) : html`${charts(averages)}<details><summary>Every task</summary>${charts(single)}</details>`}`
}

/** What the arms weighted up and down, source by source; nothing when all are uniform. */
function renderRelativeWeights({ arms, targets }: Comparison, colors: SourceColors): Html {
  const isWeighted = ({ relativeWeights }: ComparedArm): boolean =>
    Object.values(relativeWeights).some((weight) => Math.abs(weight - 1) > 1e-9)
  const shown = arms.filter(isWeighted)
  const names = [...new Set(shown.flatMap(({ relativeWeights }) => Object.keys(relativeWeights)))].sort()
  if (shown.length === 0 || names.length < 2) return html``
  const rows = names.map((name) => {
    const cells = shown.map(({ relativeWeights }) => {
      const weight = Object.hasOwn(relativeWeights, name) ? relativeWeights[name]! : Number.NaN
      return html`<td>${Number.isFinite(weight) ? formatNumber(weight, 'ratio') : html`<span class="none">n/a</span>`}</td>`
    })
    return html`<tr><th scope="row">${sourceKey(name, colors)}${anchoredName({ anchoredSources: targets }, name)}</th>${cells}</tr>`
  })
  const heads = shown.map(({ arm }) => html`<th scope="col">${visibleText(arm)}</th>`)
  const rest = arms.length - shown.length
  const left =
    rest === 0
      ? ''
      : rest === 1
        ? ' The other arm is uniform: 1 throughout.'
        : ` The other ${rest} arms are uniform: 1 throughout.`
  return html`<p class="about">Share of the weighted loss that a source has, divided by its share without weights, over all steps of the arm and its seeds.${left}</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`
}

function renderTextTable({ title, about, columns, rows }: TextTable): Html {
  const kind = (c: number) => (columns[c]!.isNumeric === true ? '' : 'text')
  const heads = columns.map(
    ({ heading }, c) => html`<th scope="col" class="${kind(c)}">${visibleText(heading)}</th>`,
  )
  const body = rows.map((cells) => {
    const [first, ...others] = cells.map((cell) => visibleText(minus(cell.trim())))
    const fields = others.map((cell, i) => html`<td class="${kind(i + 1)}">${cell}</td>`)
    return html`<tr><th scope="row">${first!}</th>${fields}</tr>`
  })
  return html`<h3>${visibleText(title)}</h3><p class="about">${visibleText(about)}</p><div class="scroll"><table class="figures"><thead><tr>${heads}</tr></thead><tbody>${body}</tbody></table></div>`
}
