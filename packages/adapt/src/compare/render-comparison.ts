import type { CellRecord } from './cell-record.js'
import type { Comparison } from './compare-cells.js'
import { comparisonTables } from './comparison-tables.js'

/** The tables as Markdown. */
export function renderMarkdown(comparison: Comparison): string {
  const shield = (text: string) => text.replace(/[\\|<>*_`[\]]/g, (character) => `\\${character}`)
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const tables = comparisonTables(comparison).map(({ title, about, columns, rows }) =>
    [
      `## ${shield(title)}`,
      '',
      shield(about),
      '',
      row(columns.map(({ heading }) => shield(heading))),
      row(columns.map(({ isNumeric }) => (isNumeric === true ? '---:' : '---'))),
      ...rows.map((cells) => row(cells.map((cell) => shield(cell.trim())))),
    ].join('\n'),
  )
  const cautions = comparison.cautions.map((caution) => `- ${shield(caution)}`)
  return `${[...tables, ...(cautions.length > 0 ? [cautions.join('\n')] : [])].join('\n\n')}\n`
}

const HEADINGS = [
  ...['kind', 'arm', 'seed', 'measure', 'bits_per_byte', 'difference', 'sd', 'low', 'high', 'pairs'],
  ...['sign_flip_p', 'floor', 'detectable', 'headroom', 'verdict'],
  ...['accuracy', 'only_baseline', 'only_arm', 'exact_p', 'mid_p'],
] as const
type CsvRow = Partial<Record<(typeof HEADINGS)[number], string | number>>

/** One row per cell and source, then one per arm and measure (a source or a group) with what the differences say. Comma-separated, with a header. */
export function renderCsv(comparison: Comparison, cells: readonly CellRecord[]): string {
  const rows: CsvRow[] = []
  for (const cell of cells) {
    const base = cells.find(({ arm, seed }) => arm === comparison.baseline && seed === cell.seed)
    for (const [measure, value] of Object.entries(cell.bits_per_byte)) {
      const other = base?.bits_per_byte[measure]
      rows.push({
        kind: 'cell',
        arm: cell.arm,
        seed: cell.seed,
        measure,
        bits_per_byte: value,
        ...(other === undefined ? {} : { difference: value - other }),
      })
    }
  }
  for (const { arm, measures } of comparison.arms) {
    for (const [place, { measure, mean, paired }] of measures.entries()) {
      if (!paired) continue
      const { isGroup, floor } = comparison.measures[place]!
      rows.push({
        kind: isGroup ? 'group-difference' : 'difference',
        arm,
        measure,
        bits_per_byte: mean,
        difference: paired.mean,
        sd: paired.sd,
        low: paired.low,
        high: paired.high,
        pairs: paired.seeds.length,
        sign_flip_p: paired.signFlipP,
        detectable: paired.detectable,
        verdict: paired.verdict,
        ...(floor ? { floor: floor.largest } : {}),
        ...(paired.headroom === undefined ? {} : { headroom: paired.headroom }),
      })
    }
  }
  rows.push(...taskRows(comparison, cells))
  const lines = rows.map((row) => HEADINGS.map((heading) => csvField(row[heading])).join(','))
  return `${[HEADINGS.join(','), ...lines].join('\n')}\n`
}

/** Shares of right answers: one row per cell and task, per arm and task or average, and per arm, task and seed with McNemar's test. */
function taskRows({ tasks }: Comparison, cells: readonly CellRecord[]): CsvRow[] {
  return [
    ...cells.flatMap(({ arm, seed, tasks: own = [] }) =>
      own.map(
        ({ task: measure, value: accuracy }): CsvRow => ({ kind: 'task', arm, seed, measure, accuracy }),
      ),
    ),
    ...tasks.flatMap(({ name: measure, isAverage, floor, arms }) =>
      arms.flatMap(({ arm, mean, paired, items }): CsvRow[] => {
        if (paired === undefined) return []
        const { mean: difference, sd, low, high, seeds, signFlipP, detectable, verdict } = paired
        return [
          {
            ...{ kind: isAverage ? 'average-difference' : 'task-difference', arm, measure, accuracy: mean },
            ...{
              difference,
              sd,
              low,
              high,
              pairs: seeds.length,
              sign_flip_p: signFlipP,
              detectable,
              verdict,
            },
            ...(floor ? { floor: floor.largest } : {}),
          },
          ...items.map(({ seed, onlyFirst, onlySecond, exactP, midP }) => ({
            ...{ kind: 'task-documents', arm, seed, measure, only_baseline: onlyFirst, only_arm: onlySecond },
            ...{ exact_p: exactP, mid_p: midP },
          })),
        ]
      }),
    ),
  ]
}

function csvField(value: string | number | undefined): string {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return ''
  const text = String(value)
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The comparison and its cells as JSON; figures that do not exist are null. */
export function renderJson(comparison: Comparison, cells: readonly CellRecord[]): string {
  return `${JSON.stringify({ schema_version: 1, ...comparison, cells }, null, 2)}\n`
}
