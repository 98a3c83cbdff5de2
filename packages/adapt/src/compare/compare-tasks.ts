import { averageTasks, type TaskFigure } from '../record/index.js'
import {
  judge,
  type McNemar,
  mcNemar,
  type NoiseFloor,
  noiseFloor,
  type PairedSummary,
  summarizePairs,
  type Verdict,
} from '../statistics/index.js'
import type { CellRecord } from './cell-record.js'
import { hasRole, type StudyConfig } from './study-schema.js'

/** One arm on one task or average: shares of right answers. */
export interface ArmOnTask {
  readonly arm: string
  /** Over the arm's seeds. */
  readonly mean: number
  /** Differences to the baseline over the seeds that both have; absent for the baseline and without such seeds. */
  readonly paired?: PairedSummary & { readonly seeds: readonly number[]; readonly verdict: Verdict }
  /** Within a seed: the documents that only the baseline (first) or only the arm (second) has right. */
  readonly items: readonly (McNemar & { readonly seed: number })[]
}

/** A task, or an average over tasks, that arms are compared by. */
export interface ComparedTask {
  /** Of the task, or `macro`, `micro`, `anchored`, `unseen`. */
  readonly name: string
  readonly isAverage: boolean
  readonly metric: string
  readonly documents: number
  /** Of tasks: whether the anchors of some arm share data with it; absent where no arm knows. */
  readonly anchored?: boolean
  /** Absent without a finished twin. */
  readonly floor?: NoiseFloor
  /** Arms that have it, in the study's order. */
  readonly arms: readonly ArmOnTask[]
}

/** Compares the tasks of finished cells, averages first; nothing for cells without tasks. Reads no file. */
export function compareTasks(study: StudyConfig, cells: readonly CellRecord[]): readonly ComparedTask[] {
  const figuresOf = withCommonMarks(cells)
  const rows = cells.map((cell) => ({ cell, values: valuesOf(figuresOf(cell)) }))
  const names = new Map(rows.flatMap(({ values }) => values.map((value) => [value.name, value] as const)))
  const valueAt = (arm: string, seed: number, name: string) =>
    rows
      .find(({ cell }) => cell.arm === arm && cell.seed === seed)
      ?.values.find((value) => value.name === name)?.value
  const pair = (arm: string, name: string) => {
    const common = study.seeds.flatMap((seed) => {
      const mine = valueAt(arm, seed, name)
      const other = valueAt(study.baseline, seed, name)
      return mine === undefined || other === undefined ? [] : [{ seed, difference: mine - other }]
    })
    if (common.length === 0) return undefined
    return {
      ...summarizePairs(common.map(({ difference }) => difference)),
      seeds: common.map(({ seed }) => seed),
    }
  }
  const arms = Object.keys(study.arms)
  const twin = arms.find((arm) => hasRole('twin', arm, study.arms[arm]!))
  const ordered = [...names.values()].sort((a, b) => Number(b.isAverage) - Number(a.isAverage))
  return ordered.map(({ name, isAverage, metric, documents, anchored }): ComparedTask => {
    const ofTwin = twin === undefined ? undefined : pair(twin, name)
    const floor = ofTwin && noiseFloor(ofTwin)
    return {
      ...{ name, isAverage, metric, documents },
      ...(anchored === undefined ? {} : { anchored }),
      ...(floor ? { floor } : {}),
      arms: arms.flatMap((arm): ArmOnTask[] => {
        const own = study.seeds.flatMap((seed) => valueAt(arm, seed, name) ?? [])
        if (own.length === 0) return []
        const mean = own.reduce((sum, value) => sum + value, 0) / own.length
        const paired = arm === study.baseline ? undefined : pair(arm, name)
        if (paired === undefined) return [{ arm, mean, items: [] }]
        const items = isAverage ? [] : itemsOf(cells, study, arm, name)
        return [{ arm, mean, paired: { ...paired, verdict: judge(paired, floor) }, items }]
      }),
    }
  })
}

interface TaskValue {
  readonly name: string
  readonly isAverage: boolean
  readonly metric: string
  readonly documents: number
  readonly anchored?: boolean
  readonly value: number
}

function valuesOf(figures: readonly TaskFigure[]): TaskValue[] {
  return [
    ...averageTasks(figures).map(({ name, metric, documents, value }) => ({
      ...{ name, isAverage: true, metric, documents, value },
    })),
    ...figures.map(({ task, metric, documents, value, anchored }) => ({
      ...{ name: task, isAverage: false, metric, documents, value },
      ...(anchored === undefined ? {} : { anchored }),
    })),
  ]
}

/** Arms without anchors are measured on the same tasks: what is anchored for one is so for all. */
function withCommonMarks(cells: readonly CellRecord[]): (cell: CellRecord) => TaskFigure[] {
  const all = cells.flatMap(({ tasks = [] }) => tasks)
  const isKnown = all.some(({ anchored }) => anchored !== undefined)
  const anchored = new Set(all.filter((task) => task.anchored === true).map(({ task }) => task))
  return ({ tasks = [] }) =>
    tasks.map(({ task, alias, metric, filter, documents, value, error }) => ({
      ...{ task, kind: 'task', alias, metric, filter, documents, value, error, higherIsBetter: true },
      ...(isKnown ? { anchored: anchored.has(task) } : {}),
    }))
}

/** Of the seeds whose two models were asked the same documents. */
function itemsOf(
  cells: readonly CellRecord[],
  { seeds, baseline }: StudyConfig,
  arm: string,
  name: string,
): ArmOnTask['items'] {
  const answersOf = (of: string, seed: number) =>
    cells.find((cell) => cell.arm === of && cell.seed === seed)?.tasks?.find(({ task }) => task === name)
      ?.answers
  return seeds.flatMap((seed) => {
    const first = answersOf(baseline, seed)
    const second = answersOf(arm, seed)
    if (first === undefined || second === undefined || first.documents !== second.documents) return []
    const count = (wanted: '1' | '0') =>
      [...first.right].filter((right, i) => right === wanted && second.right[i] !== wanted).length
    return [{ seed, ...mcNemar(count('1'), count('0')) }]
  })
}
