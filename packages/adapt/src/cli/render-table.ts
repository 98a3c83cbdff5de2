/** Columns of a table: a heading and whether its cells are numbers, which stand on the right. */
export interface Column {
  readonly heading: string
  readonly isNumeric?: boolean
}

/** Aligns rows of cells under their headings; two spaces between columns, no trailing spaces. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = [columns.map((column) => column.heading), ...rows]
  const widths = columns.map((_, c) => Math.max(...table.map((row) => (row[c] ?? '').length)))
  const lines = table.map((row) =>
    columns
      .map((column, c) => {
        const cell = row[c] ?? ''
        return column.isNumeric === true ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)
      })
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** A count with commas between thousands. */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : String(value)
}
