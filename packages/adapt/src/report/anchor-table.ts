import type { RefreshEvent } from '../record/index.js'
import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportRun } from './report-run.js'

const WIDTH = 120
const HEIGHT = 20
const MAX_POINTS = 120

/** What the refreshes measured about the anchors: first and last value of each figure, and its course between them. */
export function renderAnchorTable(run: ReportRun): Html {
  const refreshes = run.refreshes ?? []
  const names = [...new Set(refreshes.flatMap((event) => Object.keys(event.diagnostics)))]
  const rows = names.flatMap((name) => {
    const values = refreshes.map((event) => diagnostic(event, name)).filter(Number.isFinite)
    return values.length === 0 ? [] : [renderRow(name, values)]
  })
  if (rows.length === 0) return html``
  const times = refreshes.length === 1 ? html`once` : html`${formatNumber(refreshes.length, 'count')} times`
  return html`<h4 class="part">Anchors</h4><p class="about">${formatNumber(refreshes.at(-1)!.numAnchors, 'count')} anchors, measured ${times}.</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th><th scope="col">first</th><th scope="col" class="spark"></th><th scope="col">last</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

function renderRow(name: string, values: readonly number[]): Html {
  const [first, last] = [values[0]!, values.at(-1)!]
  const head = html`<th scope="row">${visibleText(spellOut(name))}</th>`
  const isConstant = values.every((value) => value === first)
  if (isConstant) return html`<tr>${head}<td>${formatNumber(first, 'plain')}</td><td></td><td></td></tr>`
  return html`<tr>${head}<td>${formatNumber(first, 'plain')}</td><td class="spark">${renderSparkline(values)}</td><td>${formatNumber(last, 'plain')}</td></tr>`
}

/** The course of a few values, without axes. */
function renderSparkline(values: readonly number[]): Html {
  const stride = Math.ceil(values.length / MAX_POINTS)
  const shown = values.filter((_, i) => i % stride === 0 || i === values.length - 1)
  const low = shown.reduce((a, b) => Math.min(a, b))
  const high = shown.reduce((a, b) => Math.max(a, b))
  const place = (value: number, i: number): readonly [string, string] => [
    (3 + (i / (shown.length - 1)) * (WIDTH - 6)).toFixed(1),
    (HEIGHT - 3 - ((value - low) / (high - low)) * (HEIGHT - 6)).toFixed(1),
  ]
  const points = shown.map((value, i) => place(value, i).join(',')).join(' ')
  const [x, y] = place(shown.at(-1)!, shown.length - 1)
  return html`<svg width="${WIDTH}" height="${HEIGHT}" aria-hidden="true"><polyline points="${points}"/><circle cx="${x}" cy="${y}" r="2.5"/></svg>`
}

function diagnostic({ diagnostics }: RefreshEvent, name: string): number {
  return Object.hasOwn(diagnostics, name) ? diagnostics[name]! : Number.NaN
}

/** `resultantLength` and `resultant_length` as words. */
export function spellOut(name: string): string {
  return name
    .replace(
      /([a-z0-9])([A-Z])(?=[a-z])/g,
      (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
    )
    .replaceAll('_', ' ')
}
