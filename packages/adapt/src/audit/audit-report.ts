import { type DotRow, renderDotChart } from '../report/dot-chart.js'
import { formatDuration, formatNumber } from '../report/format.js'
import { type Html, html, visibleText } from '../report/html.js'
import { type PageSection, renderFacts, renderPage } from '../report/page-shell.js'
import { SourceColors } from '../report/source-colors.js'
import { writePage } from '../report/write-page.js'
import { normalQuantile, randomAucHalfWidth } from '../statistics/index.js'
import type { Audit, AuditedSignal } from './audit-signals.js'
import { alsoScoring, leftOutTogether, percent, shortEstimate, shortFigure, verdictOf } from './audit-text.js'
import { type AucEstimate, decidingAuc, type SignalFigures } from './signal-figures.js'

/** Areas that a chart shows, each with a shape and a colour of its own. */
const AREAS = [
  { key: 'anchors', name: 'anchors', color: 's0', shape: 0 },
  { key: 'rest', name: 'target against all others', color: 's1', shape: 1 },
  { key: 'sibling', name: 'target against siblings', color: 's2', shape: 2 },
  { key: 'noise', name: 'target against noise', color: 's4', shape: 3 },
] as const

/** Writes the page of an audit: what each signal finds, how it goes with the gradient, and a table. @throws {ResourceError} REPORT_WRITE. */
export function writeAuditReport(path: string, audit: Audit): void {
  writePage(path, renderAuditPage(audit))
}

/** The page as HTML; all names are shown as text. */
export function renderAuditPage(audit: Audit): string {
  const sections: PageSection[] = [
    { id: 'finds', title: 'What each signal finds', body: renderAreas(audit) },
    { id: 'influence', title: 'How it goes with the gradient', body: renderInfluence(audit) },
    { id: 'sources', title: 'What it says of the sources', body: renderSources(audit) },
    { id: 'figures', title: 'Figures', body: renderFigures(audit) },
  ]
  return renderPage({
    title: `Audit of ${audit.model}`,
    head: renderHead(audit),
    sections: sections.filter(({ body }) => body.markup !== ''),
  })
}

function renderHead(audit: Audit): Html {
  const { samples, anchors, influence, roles, cautions } = audit
  const names = (list: readonly string[]) => html`${list.map(visibleText).join(', ')}`
  const facts: (readonly [string, Html])[] = [
    ['samples', formatNumber(samples, 'count')],
    ['anchors', formatNumber(anchors, 'count')],
    ...(influence ? [['with gradients', formatNumber(influence.samples, 'count')] as const] : []),
    ...Object.entries(roles).flatMap(([role, list]) =>
      list.length > 0 ? [[role, names(list)] as const] : [],
    ),
  ]
  const list = cautions.map((caution) => html`<li>${visibleText(caution)}</li>`)
  return html`<p><strong>${visibleText(sentence(verdictOf(audit)))}</strong></p>${renderFacts(facts)}${cautions.length > 0 ? html`<ul class="caution">${list}</ul>` : html``}`
}

function renderAreas({ signals, influence }: Audit): Html {
  const [first] = signals
  if (first === undefined) return html``
  const shown = AREAS.filter(({ key }) => (first[key]?.positives ?? 0) > 0)
  const rows = [
    ...signals.map((signal): DotRow => areaRow(signal.name, signal, shown)),
    ...(influence ? [areaRow('gradient influence', influence, shown)] : []),
  ]
  const auc = decidingAuc(first)
  const chart = renderDotChart({
    label: 'area under the ROC curve; 0.5: the score tells nothing',
    rows,
    fromZero: false,
    range: [0, 1],
    middle: 0.5,
    floor: randomAucHalfWidth(auc.positives, auc.negatives),
  })
  return html`<p class="about">Chance that one of these is scored above a sample of the rest; line: 95 % interval of what decides. Grey band: where 95 % of scores that know nothing fall. Anchors are scored by the half of the anchors that they are not in.</p>
<p class="about">${shown.map(({ name, shape }) => `${SHAPES[shape]} ${name}`).join(' · ')}</p>${chart}`
}

const SHAPES = ['\u25cf', '\u25a0', '\u25b2', '\u25c6'] as const

function areaRow(name: string, figures: SignalFigures, shown: readonly (typeof AREAS)[number][]): DotRow {
  const marks = shown.flatMap(({ key, name: of, color, shape }) => {
    const area: AucEstimate | undefined = figures[key]
    if (area === undefined) return []
    const title = `${name}, ${of}: ${shortEstimate(area)}`
    const interval = area === decidingAuc(figures) ? { interval: area.interval } : {}
    return [{ value: area.value, color, shape, title, ...interval }]
  })
  return { name, marks, text: html`${shortFigure(decidingAuc(figures).value)}` }
}

function renderInfluence({ signals, influence }: Audit): Html {
  if (influence === undefined || signals.length === 0) return html``
  const rows = signals.map(
    ({ name, influence: found }): DotRow => ({
      name,
      marks:
        found === undefined
          ? []
          : [
              {
                value: found.dot.value,
                color: 'ink',
                interval: found.dot.interval,
                title: `${name}: ${shortEstimate(found.dot)}`,
              },
              { value: found.cosine.value, color: 'grey', isRing: true },
            ],
      text: html`${minus(shortFigure(found?.dot.value))}`,
    }),
  )
  const chart = renderDotChart({
    label: 'rank correlation with the gradient influence',
    rows,
    fromZero: true,
    range: [-1, 1],
    floor: normalQuantile(0.975) / Math.sqrt(Math.max(1, influence.samples - 1)),
  })
  return html`<p class="about">How far a step on a sample would lower the mean loss of the anchors, to first order: the product of its gradient, over all trained parameters, with the mean gradient of the anchors, for ${influence.samples} samples. Mark and line: Spearman's correlation of a signal with it and its 95 % interval; ring: with the cosine instead. Grey band: scores that know nothing. The influence by one half of the anchors has ${shortFigure(influence.splitHalf)} with that by the other: no signal is expected far above that.</p>${chart}`
}

function renderSources(audit: Audit): Html {
  const { signals, roles } = audit
  const shown = signals.find(({ name }) => name === audit.best) ?? signals[0]
  if (shown === undefined || shown.sources.length < 2) return html``
  const colors = new SourceColors(
    shown.sources.map(({ source }) => source),
    [...roles.target, ...shown.sources.map(({ source }) => source)],
  )
  const roleOf = (source: string) =>
    Object.entries(roles).find(([, names]) => names.includes(source))?.[0] ?? ''
  const rows = shown.sources.map(({ source, samples, quartiles: [low, middle, high] }): DotRow => {
    const role = roleOf(source)
    return {
      name: role === '' ? source : `${source} (${role})`,
      marks: [
        {
          value: middle,
          color: colors.of(source),
          interval: [low, high],
          title: `${source}: ${samples} samples`,
        },
      ],
      text: html`${samples}`,
    }
  })
  const chart = renderDotChart({
    label: 'place among all samples, 1: the highest score',
    rows,
    fromZero: false,
    range: [0, 1],
  })
  return html`<p class="about">Signal ${visibleText(shown.name)}: median place of the samples of each source, from the first to the third quartile; at the end their number.</p>${chart}`
}

function renderFigures(audit: Audit): Html {
  const { signals, influence } = audit
  const heads = [
    ...['anchors', 'target', 'siblings', 'noise', 'influence', 'as cosine'],
    ...['halves agree', 'between sources', 'cost', 'seconds', 'FLOPs', 'verdict'],
  ]
  const cells = (figures: SignalFigures) => [
    ...AREAS.map(({ key }) => shortEstimate(figures[key])),
    ...[shortEstimate(figures.influence?.dot), shortEstimate(figures.influence?.cosine)],
    ...[shortFigure(figures.splitHalf), percent(figures.betweenSources)],
  ]
  const isShown = (column: number) => {
    const all = [...signals, ...(influence ? [influence] : [])].map((figures) => cells(figures)[column])
    return column >= 8 || all.some((cell) => cell !== '-')
  }
  const row = (name: Html, all: readonly string[], flops: number, says: string) => {
    const values = all.filter((_, column) => isShown(column))
    return html`<tr><th scope="row">${name}</th>${values.map((cell) => html`<td>${minus(cell)}</td>`)}<td>${formatNumber(flops, 'flops')}</td><td class="text">${says}</td></tr>`
  }
  const rows = [
    ...signals.map((signal) =>
      row(
        html`${visibleText(signal.name)}${also(signal)}`,
        [...cells(signal), percent(signal.costShare), formatDuration(signal.seconds)],
        signal.flops,
        signal.says,
      ),
    ),
    ...(influence
      ? [
          row(
            html`gradient influence`,
            [...cells(influence), '-', formatDuration(influence.seconds)],
            influence.flops,
            'what signals are compared with',
          ),
        ]
      : []),
  ]
  const left = leftOutTogether(audit).map(
    ({ names, reason }) => html`<li>${visibleText(names)}: ${visibleText(reason)}</li>`,
  )
  return html`<p class="about">Halves agree: rank correlation of the scores that two halves of the anchors give. Between sources: share of the variance of the ranks that lies between sources. Cost: FLOPs beside those of training, in a run of this config. Seconds and FLOPs: of this audit, without the forwards that all signals share.</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th>${heads.filter((_, column) => isShown(column)).map((head) => html`<th scope="col" class="${head === 'verdict' ? 'text' : ''}">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>
${left.length === 0 ? html`` : html`<h3>Left out</h3><ul>${left}</ul>`}`
}

function also(signal: AuditedSignal): Html {
  const others = alsoScoring(signal)
  return others.length === 0
    ? html``
    : html` <span class="about">also ${others.map(visibleText).join(', ')}</span>`
}

const minus = (text: string): string => text.replace(/(^|[[ (])-(?=[\d.])/g, '$1\u2212')

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`
