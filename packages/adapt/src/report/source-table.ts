import { anchoredName, sourceKey } from './evaluation-chart.js'
import { formatNumber } from './format.js'
import { type Html, html } from './html.js'
import type { ReportRun } from './report-run.js'
import type { SourceColors } from './source-colors.js'
import type { LedgerSummary } from './summarize-ledger.js'

const MAX_ROWS = 40

/** Mean weights by source over the last part of a run, and how much of the spread of the weights they explain. */
export function renderSourceTable(ledger: LedgerSummary, run: ReportRun, colors: SourceColors): Html {
  const shown = ledger.sources.slice(0, MAX_ROWS)
  const left = ledger.sources.length - shown.length
  const lines = shown.map(
    ({ source, share, weight, relativeStd, score, loss }) =>
      html`<tr><th scope="row">${sourceKey(source, colors)}${anchoredName(run, source)}</th><td>${formatNumber(share.uniform, 'percent')}</td><td>${formatNumber(share.mass, 'percent')}</td><td>${formatNumber(share.mass / share.uniform, 'ratio')}</td><td>${formatNumber(weight, 'ratio')}</td><td>${formatNumber(relativeStd, 'ratio')}</td><td>${formatNumber(score, 'ratio')}</td><td>${formatNumber(loss, 'ratio')}</td></tr>`,
  )
  const more = left > 0 ? html`<p class="about">${left} more sources are left out.</p>` : html``
  return html`<div class="scroll"><table class="figures"><caption>Sources, steps ${ledger.firstStep} to ${ledger.lastStep}</caption>
<thead><tr><th scope="col"></th><th scope="col">share of data</th><th scope="col">share of weight</th><th scope="col">relative weight</th><th scope="col">mean weight</th><th scope="col">spread</th><th scope="col">mean score</th><th scope="col">mean loss <span class="unit">nats</span></th></tr></thead><tbody>${lines}</tbody></table></div>${more}<p class="about">Relative weight: share of weight / share of data. Spread: standard deviation over the samples of weight / mean weight of the step.</p>`
}
