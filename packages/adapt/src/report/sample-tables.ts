import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { ReportSample } from './report-run.js'

const MAX_TEXT = 1500

/** The most up- and the most down-weighted samples of a run, with their text where there is one. */
export function renderSampleTables(samples: readonly ReportSample[]): Html {
  const ordered = [...samples].sort((a, b) => b.weight - a.weight || (a.id < b.id ? -1 : 1))
  const half = Math.ceil(ordered.length / 2)
  return html`<div class="pair samples">
${renderTable('Most up-weighted', ordered.slice(0, half))}
${renderTable('Most down-weighted', ordered.slice(half).reverse())}
</div>`
}

function renderTable(caption: string, samples: readonly ReportSample[]): Html {
  if (samples.length === 0) return html``
  const rows = samples.map(
    (sample) =>
      html`<tr><td>${formatNumber(sample.weight, 'ratio')}</td><td>${formatNumber(sample.score, 'ratio')}</td><td>${formatNumber(sample.loss, 'ratio')}</td><td class="what"><span class="from">${visibleText(sample.source)} \u00b7 ${visibleText(sample.id)}</span>${renderText(sample.text)}</td></tr>`,
  )
  return html`<div class="scroll"><table><caption>${caption}</caption><thead><tr><th scope="col">weight</th><th scope="col">score</th><th scope="col">loss <span class="unit">nats</span></th><th scope="col" class="what">sample</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

function renderText(text: string | undefined): Html {
  if (text === undefined) return html``
  // Cut before escaping; a pair of code units is not cut in half.
  const cut = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, '') : text
  const more =
    cut.length < text.length
      ? html`<span class="none"> \u2026 ${text.length - cut.length} more characters</span>`
      : html``
  return html`<div class="text" tabindex="0">${visibleText(cut)}${more}</div>`
}
