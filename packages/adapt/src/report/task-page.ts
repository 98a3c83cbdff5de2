import type { OverlapCounts } from '../contamination/index.js'
import type { TaskFigure } from '../record/index.js'
import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import { renderFacts, renderPage } from './page-shell.js'
import type { TaskAnswer } from './report-tasks.js'
import { renderTaskSection } from './task-section.js'

/** One evaluation of benchmark tasks. */
export interface TaskPage {
  /** As the user named it. */
  readonly model: string
  /** What stands at the top, in order. */
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly figures: readonly TaskFigure[]
  readonly answers: readonly TaskAnswer[]
  /** What the tasks share with data, by what it is. */
  readonly overlaps: readonly { readonly data: string; readonly counts: readonly OverlapCounts[] }[]
}

/** An evaluation as a page that needs no script and no other file. All text is shown as text, never read as markup. */
export function renderTaskPage({ model, facts, figures, answers, overlaps }: TaskPage): string {
  const tasks = [{ step: 0, figures }]
  const shared = overlaps.filter(({ counts }) => counts.length > 0)
  return renderPage({
    title: `Benchmark tasks: ${model}`,
    head: renderFacts(facts.map(([name, value]) => [name, html`${visibleText(value)}`] as const)),
    sections: [
      {
        id: 'tasks',
        title: 'Results',
        body: renderTaskSection([{ name: model, heading: 'value', tasks, answers }]),
      },
      ...(shared.length === 0
        ? []
        : [{ id: 'contamination', title: 'Contamination', body: html`${shared.map(renderOverlap)}` }]),
    ],
  })
}

function renderOverlap({ data, counts }: TaskPage['overlaps'][number]): Html {
  const rows = counts.map(({ group, items, shared, duplicates, examples: [example] }) => {
    const text =
      example === undefined
        ? html`<span class="none">none</span>`
        : html`<span class="from">${visibleText(`${example.item} \u00b7 ${example.document}`)}</span><div class="text">${visibleText(example.text.slice(0, 300))}</div>`
    return html`<tr><th scope="row">${visibleText(group)}</th><td>${formatNumber(items, 'count')}</td><td>${formatNumber(shared, 'count')}</td><td>${formatNumber(duplicates, 'count')}</td><td class="what">${text}</td></tr>`
  })
  return html`<h3>Text shared with ${data}</h3><p class="about">Documents that share 13 words in a row, or stand there whole.</p>
<div class="scroll"><table class="figures"><thead><tr><th scope="col"></th><th scope="col">documents</th><th scope="col">share words</th><th scope="col">whole</th><th scope="col" class="text">an example</th></tr></thead><tbody>${rows}</tbody></table></div>`
}
