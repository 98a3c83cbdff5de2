import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ResourceError } from '../errors.js'
import { niceTicks } from '../report/evaluation-chart.js'
import { type Html, html, Html as Markup, visibleText } from '../report/html.js'
import { REPORT_STYLE } from '../report/report-style.js'
import type { ComparedArm, Comparison, Measure } from './compare-cells.js'
import { comparisonTables, floorText, signed, type TextTable } from './comparison-tables.js'

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
const STYLE = `
.forest { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); margin: 12px 0; }
.floor { fill: var(--muted); opacity: 0.16; }
.interval { stroke: var(--mark); stroke-width: 2.2; }
.seed { fill: none; stroke: var(--mark); opacity: 0.65; }
figcaption { font-size: 13px; margin: 0 0 4px; }
figcaption strong { color: var(--text); font-size: 14px; }
td.text, th.text { text-align: left; font: inherit; }
td.text { white-space: nowrap; }
ul.caution { padding-left: 32px; }
`

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
  const temporary = `${path}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, renderComparisonPage(comparison))
    renameSync(temporary, path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    throw new ResourceError(
      'REPORT_WRITE',
      `report: cannot write ${path} (${(cause as Error).message})`,
      { path },
      { cause },
    )
  }
  return path
}

/** The page that {@link writeComparisonReport} writes, as HTML. All names are shown as text, never read as markup. */
export function renderComparisonPage(comparison: Comparison): string {
  const groups = comparison.measures.filter(({ isGroup }) => isGroup)
  const charts = (some: readonly Measure[]) =>
    html`<div class="forest">${some.map((measure) => renderForest(comparison, measure))}</div>`
  const sources = comparison.measures.filter(({ isGroup }) => !isGroup)
  const cautions = comparison.cautions.map((caution) => html`<li>${visibleText(caution)}</li>`)
  const title = `Comparison with ${comparison.baseline}`
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${visibleText(title)}</title>
<style>${new Markup(REPORT_STYLE + STYLE)}</style>
</head>
<body>
<header><h1>${visibleText(title)}</h1>
<p>${comparison.arms.length} arms, seeds ${comparison.seeds.join(', ')}. Differences in held-out bits per byte, paired by seed; left of zero is better than ${visibleText(comparison.baseline)}.</p>
${cautions.length > 0 ? html`<ul class="caution">${cautions}</ul>` : html``}</header>
<main>
<section><h2>Differences</h2>
<p class="about">Filled mark and line: mean and 95 % interval. Rings: one seed each. Grey band: the noise floor, where differences mean nothing.</p>
${groups.length > 0 ? charts(groups) : charts(sources)}
${groups.length > 0 ? html`<details><summary>Every source</summary>${charts(sources)}</details>` : html``}</section>
<section><h2>Tables</h2>${comparisonTables(comparison).map(renderTextTable)}</section>
</main>
<footer>Made by ADAPT for TypeScript.</footer>
</body>
</html>
`
  return page.markup
}

const WIDTH = 560
const LABEL_WIDTH = 132
const RIGHT = 28
const TOP = 6
const ROW_HEIGHT = 30
const AXIS_HEIGHT = 30

/** Arms by row, the difference on the axis, the floor as a band around zero. */
function renderForest(comparison: Comparison, measure: Measure): Html {
  const place = comparison.measures.indexOf(measure)
  const arms = comparison.arms.filter(({ measures }) => measures[place]!.paired !== undefined)
  const { floor } = measure
  const bounds = arms.flatMap(({ measures }) => {
    const { low, high, differences } = measures[place]!.paired!
    return [low, high, ...differences].filter(Number.isFinite)
  })
  const ticks = niceTicks([0, ...bounds, ...(floor ? [-floor.largest, floor.largest] : [])], 0.06)
  const low = ticks[0]!
  const high = ticks.at(-1)!
  const x = (value: number) =>
    Math.round((LABEL_WIDTH + ((value - low) / (high - low)) * (WIDTH - LABEL_WIDTH - RIGHT)) * 100) / 100
  const bottom = TOP + arms.length * ROW_HEIGHT
  const digits = Math.max(0, -Math.floor(Math.log10(ticks[1]! - low) + 1e-9))
  const grid = ticks.map(
    (tick) =>
      html`<line class="${tick === 0 ? 'zero' : 'grid'}" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP}" y2="${bottom}"/><text class="tick" x="${x(tick)}" y="${bottom + 16}">${signed(tick, digits)}</text>`,
  )
  const band = floor
    ? html`<rect class="floor" x="${x(-floor.largest)}" width="${Math.max(1, x(floor.largest) - x(-floor.largest))}" y="${TOP}" height="${bottom - TOP}"/>`
    : html``
  const rows = arms.map((arm, i) =>
    renderRow(arm, place, { x, y: TOP + (i + 0.5) * ROW_HEIGHT, color: i % 8 }),
  )
  const label = `${measure.name}: differences to ${comparison.baseline}`
  return html`<figure><figcaption><strong>${visibleText(measure.name)}</strong> ${measure.isGroup ? visibleText(`${measure.sources.join(', ')} \u00b7`) : ''} ${floorText(floor)}</figcaption>
<svg class="dots" viewBox="0 0 ${WIDTH} ${bottom + AXIS_HEIGHT}" role="img" aria-label="${visibleText(label)}">${band}${grid}${rows}</svg></figure>`
}

function renderRow(
  arm: ComparedArm,
  place: number,
  { x, y, color }: { readonly x: (value: number) => number; readonly y: number; readonly color: number },
): Html {
  const paired = arm.measures[place]!.paired!
  const name = visibleText(arm.arm)
  const line = Number.isFinite(paired.low)
    ? html`<line class="interval s${color}" x1="${x(paired.low)}" x2="${x(paired.high)}" y1="${y}" y2="${y}"/>`
    : html``
  const seeds = paired.differences.map(
    (difference) => html`<circle class="seed s${color}" cx="${x(difference)}" cy="${y - 7}" r="2.6"/>`,
  )
  return html`<g><title>${name}: ${signed(paired.mean)}, ${paired.verdict}</title><text class="set" x="${LABEL_WIDTH - 10}" y="${y + 4}">${name.length > 19 ? `${name.slice(0, 18)}\u2026` : name}</text>${line}<circle class="mark s${color}" cx="${x(paired.mean)}" cy="${y}" r="4.4"/>${seeds}</g>`
}

function renderTextTable({ title, about, columns, rows }: TextTable): Html {
  const kind = (c: number) => (columns[c]!.isNumeric === true ? '' : 'text')
  const heads = columns.map(
    ({ heading }, c) => html`<th scope="col" class="${kind(c)}">${visibleText(heading)}</th>`,
  )
  const body = rows.map((cells) => {
    const [first, ...others] = cells.map((cell) =>
      visibleText(cell.trim().replace(/(^|[[ (])-(?=\d)/g, '$1\u2212')),
    )
    const fields = others.map((cell, i) => html`<td class="${kind(i + 1)}">${cell}</td>`)
    return html`<tr><th scope="row">${first!}</th>${fields}</tr>`
  })
  return html`<h3>${visibleText(title)}</h3><p class="about">${visibleText(about)}</p><div class="scroll"><table class="figures"><thead><tr>${heads}</tr></thead><tbody>${body}</tbody></table></div>`
}
