import type { OverlapCounts } from '../../contamination/index.js'
import { printable } from '../../dataset/index.js'
import { formatCount, renderTable } from '../terminal/render-table.js'

/** Text that groups of items share with documents, and an example of each; nothing without groups. */
export function renderOverlap(what: string, groups: readonly OverlapCounts[]): string {
  if (groups.length === 0) return ''
  const share = (count: number, items: number) =>
    `${formatCount(count)} (${((100 * count) / Math.max(1, items)).toFixed(1)} %)`
  const rows = groups.map((group) => [
    printable(group.group, 60),
    formatCount(group.items),
    share(group.shared, group.items),
    share(group.duplicates, group.items),
    formatCount(group.documents),
  ])
  const columns = ['items', 'share 13 words', 'duplicates', 'by documents'].map((heading) => ({
    heading,
    isNumeric: true,
  }))
  const examples = groups.flatMap(({ examples: found }) =>
    found
      .slice(0, 1)
      .map(
        ({ kind, item, document, text }) =>
          `  ${kind}: ${printable(item, 80)} and ${printable(document, 80)}: "${oneLine(text)}"\n`,
      ),
  )
  return `${renderTable([{ heading: `text shared with ${what}` }, ...columns], rows)}${examples.join('')}`
}

/** The beginning of a text in one line. */
export function oneLine(text: string): string {
  return printable(text.replace(/\s+/gu, ' ').trim(), 40)
}
