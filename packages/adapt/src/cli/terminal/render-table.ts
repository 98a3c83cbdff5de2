import { printable } from '../../dataset/printable.js'

/** Columns of a table: a heading and whether its cells are numbers, which stand on the right. */
export interface Column {
  readonly heading: string
  readonly isNumeric?: boolean
  /** Whether its cells may be shortened where the table is too wide; by itself the first column of text may be. */
  readonly canShorten?: boolean
}

/** Width that a table keeps to, that of a terminal which nobody has widened. */
export const TABLE_WIDTH = 80

/** Characters that a shortened cell keeps at least, where the table then fits. */
const MIN_CELL = 8

/** The same where it is too wide all the same, and short names would cost what they tell and gain nothing. */
const MIN_CELL_WIDE = 24

/**
 * Aligns rows of cells under their headings; two spaces between columns, no trailing spaces. What others named is made
 * printable, and names are shortened in their middle until the table fits into {@link TABLE_WIDTH}.
 */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const safeRows = rows.map((row) => row.map((cell) => printable(cell, Number.POSITIVE_INFINITY)))
  const table = [columns.map((column) => column.heading), ...safeRows]
  const widths = fitWidths(
    columns,
    columns.map((_, c) => Math.max(...table.map((row) => (row[c] ?? '').length))),
  )
  const lines = table.map((row) =>
    columns
      .map((column, c) => {
        const cell = shorten(row[c] ?? '', widths[c]!)
        return column.isNumeric === true ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)
      })
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** Takes what is too much from the columns that may be shortened, always from the widest. */
function fitWidths(columns: readonly Column[], natural: readonly number[], minCell = MIN_CELL): number[] {
  const widths = [...natural]
  const first = columns.findIndex(({ isNumeric }) => isNumeric !== true)
  const texts = columns.flatMap(({ canShorten, heading }, c) =>
    (canShorten ?? c === first) ? [{ c, least: Math.max(minCell, heading.length) }] : [],
  )
  let excess = widths.reduce((sum, width) => sum + width + 2, -2) - TABLE_WIDTH
  for (; excess > 0; excess--) {
    const wide = texts.filter(({ c, least }) => widths[c]! > least)
    if (wide.length === 0) return minCell === MIN_CELL ? fitWidths(columns, natural, MIN_CELL_WIDE) : widths
    const { c } = wide.reduce((a, b) => (widths[b.c]! > widths[a.c]! ? b : a))
    widths[c]! -= 1
  }
  return widths
}

/** The text in at most `width` characters; both ends stay, which is where long names and paths differ. */
function shorten(text: string, width: number): string {
  if (text.length <= width) return text
  const head = Math.ceil((width - 1) / 2)
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`
}

/** Breaks lines of words at {@link TABLE_WIDTH}; what goes on is set in. Longer words, such as paths, stay whole. */
export function wrapLines(text: string, indent = 2): string {
  return text
    .split('\n')
    .map((line) => {
      if (line.length <= TABLE_WIDTH) return line
      const lines = ['']
      for (const word of line.split(/(?<=\S) (?=\S)/)) {
        const last = lines.at(-1)!
        if (last.trim() === '' || last.length + 1 + word.length <= TABLE_WIDTH) {
          lines[lines.length - 1] = last.trim() === '' ? `${last}${word}` : `${last} ${word}`
        } else {
          lines.push(`${' '.repeat(indent)}${word}`)
        }
      }
      return lines.join('\n')
    })
    .join('\n')
}

/** A count with commas between thousands. */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : String(value)
}
