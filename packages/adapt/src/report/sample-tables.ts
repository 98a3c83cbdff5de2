import { sourceKey } from './evaluation-chart.js'
import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportSample } from './report-run.js'
import type { SourceColors } from './source-colors.js'

const MAX_TEXT = 1500

/** The most up- and the most down-weighted samples of a run, with their text where there is one. */
export function renderSampleTables(samples: readonly ReportSample[], colors: SourceColors): Html {
  const ordered = [...samples].sort((a, b) => rank(b) - rank(a) || (a.id < b.id ? -1 : 1))
  const half = Math.ceil(ordered.length / 2)
  return html`<div class="pair samples">
${renderTable('Most up-weighted', ordered.slice(0, half), colors)}
${renderTable('Most down-weighted', ordered.slice(half).reverse(), colors)}
</div>`
}

function rank(sample: ReportSample): number {
  return sample.relativeWeight ?? sample.weight
}

function renderTable(caption: string, samples: readonly ReportSample[], colors: SourceColors): Html {
  if (samples.length === 0) return html``
  const isRelative = samples.some((sample) => sample.relativeWeight !== undefined)
  const isCounted = samples.some((sample) => sample.timesSeen !== undefined)
  const columns = 3 + Number(isRelative) + Number(isCounted)
  const cell = (value: number | undefined, format: 'ratio' | 'count'): Html =>
    html`<td>${value === undefined ? html`<span class="none">n/a</span>` : formatNumber(value, format)}</td>`
  // The text has a row of its own: on a telephone it would be a few letters wide beside the figures.
  const rows = samples.map(
    (sample) =>
      html`<tbody><tr>${isRelative ? cell(sample.relativeWeight, 'ratio') : html``}${cell(sample.weight, 'ratio')}${cell(sample.score, 'ratio')}${cell(sample.loss, 'ratio')}${isCounted ? cell(sample.timesSeen, 'count') : html``}</tr>
<tr><td class="what" colspan="${columns}"><span class="from">${sourceKey(sample.source, colors)}${renderOrigin(sample)}</span>${renderText(sample)}</td></tr></tbody>`,
  )
  const relative = isRelative ? html`<th scope="col">relative weight</th>` : html``
  const seen = isCounted ? html`<th scope="col">times seen</th>` : html``
  return html`<div class="scroll"><table><caption>${caption}</caption><thead><tr>${relative}<th scope="col">weight</th><th scope="col">score</th><th scope="col">loss <span class="unit">nats</span></th>${seen}</tr></thead>${rows}</table></div>`
}

/** Source, id, and the place in the data where the id does not say it already. */
function renderOrigin({ source, id, place }: ReportSample): Html {
  const shown = [source, id, ...(place === undefined || id.startsWith(place) ? [] : [place])]
  return html`${shown.map(visibleText).join(' \u00b7 ')}`
}

function renderText({ text, textNote }: ReportSample): Html {
  if (text === undefined)
    return textNote === undefined ? html`` : html`<div class="none">${visibleText(textNote)}</div>`
  // Cut before escaping; a pair of code units is not cut in half.
  const cut = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, '') : text
  const more =
    cut.length < text.length
      ? html`<span class="none"> \u2026 ${text.length - cut.length} more characters</span>`
      : html``
  return html`<div class="text" tabindex="0">${visibleText(cut)}${more}</div>`
}
