import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { LedgerSummary } from './summarize-ledger.js'

const MAX_ROWS = 40

/** Mean weights by source over the last part of a run, and how much of the spread of the weights they explain. */
export function renderSourceTable(ledger: LedgerSummary): Html {
  const rows = ledger.sources.reduce((sum, source) => sum + source.rows, 0)
  const mass = ledger.sources.reduce((sum, source) => sum + source.rows * source.weight, 0)
  const shown = ledger.sources.slice(0, MAX_ROWS)
  const left = ledger.sources.length - shown.length
  const lines = shown.map(
    (source) =>
      html`<tr><th scope="row">${visibleText(source.source)}</th><td>${formatNumber(source.rows / rows, 'percent')}</td><td>${formatNumber((source.rows * source.weight) / mass, 'percent')}</td><td>${formatNumber(source.weight, 'ratio')}</td><td>${formatNumber(source.relativeWeight, 'ratio')} \u00b1 ${formatNumber(source.relativeStd, 'ratio')}</td><td>${formatNumber(source.score, 'ratio')}</td><td>${formatNumber(source.loss, 'ratio')}</td></tr>`,
  )
  const more = left > 0 ? html`<p class="about">${left} more sources are left out.</p>` : html``
  return html`<div class="scroll"><table class="figures"><caption>Sources, steps ${ledger.firstStep} to ${ledger.lastStep}</caption>
<thead><tr><th scope="col"></th><th scope="col">of samples</th><th scope="col">of weight</th><th scope="col">mean weight</th><th scope="col">relative weight</th><th scope="col">mean score</th><th scope="col">mean loss <span class="unit">nats</span></th></tr></thead><tbody>${lines}</tbody></table></div>${more}${renderShare(ledger)}`
}

function renderShare({ betweenSources, sources }: LedgerSummary): Html {
  if (!Number.isFinite(betweenSources) || sources.length < 2) return html``
  const rest = 1 - betweenSources
  return html`<p>${formatNumber(betweenSources, 'percent')} of the variance of the weights lies between the sources, ${formatNumber(rest, 'percent')} between samples of the same source. <span class="about">Relative weight: the weight divided by the mean weight of its step, mean \u00b1 standard deviation over the samples. At 100 % a weight would say no more than where a sample comes from.</span></p>`
}
