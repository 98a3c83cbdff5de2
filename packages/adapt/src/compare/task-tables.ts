import type { Comparison } from './compare-cells.js'
import type { ComparedTask } from './compare-tasks.js'
import { floorText, interval, NONE, number, signed, type TextTable } from './text-table.js'

/** Benchmark tasks: the arms over seeds, and document by document within a seed; no table without tasks. */
export function taskTables({ tasks, baseline }: Comparison): TextTable[] {
  if (tasks.length === 0) return []
  const hasItems = tasks.some(({ arms }) => arms.some(({ items }) => items.length > 0))
  return [seedTable(tasks, baseline), ...(hasItems ? [itemTable(tasks, baseline)] : [])]
}

function seedTable(tasks: readonly ComparedTask[], baseline: string): TextTable {
  const isMarked = tasks.some(({ anchored }) => anchored !== undefined)
  const rows = tasks.flatMap(({ name, isAverage, anchored, floor, arms }) =>
    arms.map(({ arm, mean, paired }, i) => {
      const head = i === 0 ? [isAverage ? `${name} average` : name] : ['']
      const mark = i > 0 || anchored === undefined ? '' : anchored ? 'anchored' : 'unseen'
      const start = [...head, ...(isMarked ? [mark] : []), arm, mean.toFixed(4)]
      if (paired === undefined)
        return [...start, ...Array(5).fill(NONE), arm === baseline ? 'baseline' : 'no common seed']
      const { differences, signFlipP } = paired
      return [
        ...start,
        signed(paired.mean),
        interval(paired),
        `${differences.filter((difference) => difference > 0).length} of ${differences.length}`,
        Number.isFinite(signFlipP) ? signFlipP.toFixed(3) : NONE,
        floor?.largest.toFixed(4) ?? NONE,
        paired.verdict,
      ]
    }),
  )
  const floors = tasks.every(({ floor }) => floor === undefined) ? ` ${floorText(undefined)}` : ''
  return {
    title: 'Benchmark tasks: share of right answers, higher is better',
    about: `Difference to ${baseline}, paired by seed.${floors} Averages: macro, anchored and unseen take each task alike, micro its documents.`,
    columns: [
      { heading: 'task' },
      ...(isMarked ? [{ heading: 'anchors' }] : []),
      { heading: 'arm' },
      ...['right', 'difference', '95 % interval', 'higher in', 'sign-flip p', 'floor'].map(number),
      { heading: 'verdict' },
    ],
    rows,
  }
}

function itemTable(tasks: readonly ComparedTask[], baseline: string): TextTable {
  const p = (value: number) => (value < 0.0005 ? value.toExponential(1) : value.toFixed(3))
  return {
    title: 'Benchmark tasks: document by document within a seed',
    about: `Documents that only one of two models has right, and McNemar's test of them: whether these two trained models differ on such documents, not whether the methods do. ${baseline} is the other model.`,
    columns: [
      { heading: 'task' },
      { heading: 'arm' },
      ...['seed', `only ${baseline}`, 'only the arm', 'exact p', 'mid-p'].map(number),
    ],
    rows: tasks.flatMap(({ name, arms }) =>
      arms.flatMap(({ arm, items }) =>
        items.map(({ seed, onlyFirst, onlySecond, exactP, midP }) => [
          ...[name, arm, String(seed), String(onlyFirst), String(onlySecond), p(exactP), p(midP)],
        ]),
      ),
    ),
  }
}
