import {
  judge,
  type NoiseFloor,
  noiseFloor,
  type PairedSummary,
  summarizePairs,
  type Verdict,
} from '../statistics/index.js'
import type { CellRecord } from './cell-record.js'
import { type ComparedTask, compareTasks } from './compare-tasks.js'
import { hasRole, type StudyConfig } from './study-schema.js'

/** A figure that arms are compared by: bits per byte of one evaluation source, or the mean over a group of them. */
export interface Measure {
  readonly name: string
  readonly isGroup: boolean
  readonly sources: readonly string[]
  /** Absent without a finished twin. */
  readonly floor?: NoiseFloor
}

/** One arm by one measure. */
export interface ArmMeasure {
  readonly measure: string
  /** Mean over the arm's seeds. */
  readonly mean: number
  /** Differences to the baseline over the seeds that both have; absent for the baseline and without such seeds. */
  readonly paired?: PairedSummary & {
    readonly seeds: readonly number[]
    readonly verdict: Verdict
    /** Mean difference as a share of the oracle's; absent unless the oracle is better beyond its interval and the floor. */
    readonly headroom?: number
  }
}

/** One arm of a comparison; figures are means over its finished seeds. */
export interface ComparedArm {
  readonly arm: string
  readonly method: string
  readonly role?: 'baseline' | 'oracle' | 'twin'
  readonly seeds: readonly number[]
  /** One for each of the comparison's measures, in their order. */
  readonly measures: readonly ArmMeasure[]
  readonly edr: number
  readonly essRatio: number
  /** Share of the objective against that with every weight 1, by source of the training data. */
  readonly relativeWeights: Readonly<Record<string, number>>
  readonly targetMass: number
  readonly targetLift: number
  readonly flopsTrain: number
  readonly flopsSignal: number
  /** Before training; 0 for a method that prepares nothing. */
  readonly flopsPreparation: number
  readonly flopsTrainWithTrunk: number
  readonly flopsSignalWithTrunk: number
  readonly tokens: number
  readonly seconds: number
}

/** What the finished cells of a study say. */
export interface Comparison {
  readonly baseline: string
  readonly seeds: readonly number[]
  readonly targets: readonly string[]
  /** Groups in the study's order, then single sources. */
  readonly measures: readonly Measure[]
  /** Benchmark tasks, averages over them first; none where the cells have none. */
  readonly tasks: readonly ComparedTask[]
  /** Arms with at least one finished cell, in the study's order. */
  readonly arms: readonly ComparedArm[]
  readonly missing: readonly { readonly arm: string; readonly seed: number }[]
  /** What a reader must know before believing the tables. */
  readonly cautions: readonly string[]
}

/** Compares finished cells: means, paired differences to the baseline, floor and verdicts. Reads no file. */
export function compareCells(
  study: StudyConfig,
  cells: readonly CellRecord[],
  evaluationSources: readonly string[],
): Comparison {
  const { baseline, seeds } = study
  const cellOf = (arm: string, seed: number) => cells.find((cell) => cell.arm === arm && cell.seed === seed)
  const names = Object.keys(study.arms)
  const armWith = (role: 'oracle' | 'twin') => names.find((name) => hasRole(role, name, study.arms[name]!))

  const pair = (arm: string, sources: readonly string[]) => {
    const common = seeds.flatMap((seed) => {
      const mine = cellOf(arm, seed)
      const other = cellOf(baseline, seed)
      const difference = mine && other ? meanOf(mine, sources) - meanOf(other, sources) : Number.NaN
      return Number.isFinite(difference) ? [{ seed, difference }] : []
    })
    if (common.length === 0) return undefined
    return {
      ...summarizePairs(common.map(({ difference }) => difference)),
      seeds: common.map(({ seed }) => seed),
    }
  }
  const twin = armWith('twin')
  const measures = listMeasures(study, evaluationSources).map((measure): Measure => {
    const paired = twin === undefined ? undefined : pair(twin, measure.sources)
    return paired ? { ...measure, floor: noiseFloor(paired) } : measure
  })
  const oracle = armWith('oracle')
  const measureArm = (arm: string, { name, sources, floor }: Measure): ArmMeasure => {
    const values = seeds.flatMap((seed) => {
      const cell = cellOf(arm, seed)
      return cell ? [meanOf(cell, sources)] : []
    })
    const paired = arm === baseline ? undefined : pair(arm, sources)
    if (!paired) return { measure: name, mean: mean(values) }
    const best = oracle === undefined || oracle === arm ? undefined : pair(oracle, sources)
    const hasHeadroom = best !== undefined && judge(best, floor).startsWith('lower')
    return {
      measure: name,
      mean: mean(values),
      paired: {
        ...paired,
        verdict: judge(paired, floor),
        ...(hasHeadroom ? { headroom: paired.mean / best.mean } : {}),
      },
    }
  }
  const arms = names.flatMap((arm): ComparedArm[] => {
    const own = seeds.flatMap((seed) => cellOf(arm, seed) ?? [])
    if (own.length === 0) return []
    const role = arm === baseline ? 'baseline' : arm === oracle ? 'oracle' : arm === twin ? 'twin' : undefined
    const over = (pick: (cell: CellRecord) => number | null) =>
      mean(own.map((cell) => pick(cell) ?? Number.NaN))
    return [
      {
        arm,
        method: own[0]!.method.preset,
        ...(role ? { role } : {}),
        seeds: own.map(({ seed }) => seed),
        measures: measures.map((measure) => measureArm(arm, measure)),
        edr: over(({ edr }) => edr),
        essRatio: over(({ ess_ratio }) => ess_ratio),
        relativeWeights: relativeWeights(own),
        targetMass: over(({ target_mass }) => target_mass),
        targetLift: over(({ target_lift }) => target_lift),
        flopsTrain: over(({ cost }) => cost.flops_train),
        flopsSignal: over(({ cost }) => cost.flops_signal),
        flopsPreparation: over(({ cost }) => cost.flops_preparation),
        flopsTrainWithTrunk: over(({ cost_with_trunk }) => cost_with_trunk.flops_train),
        flopsSignalWithTrunk: over(({ cost_with_trunk }) => cost_with_trunk.flops_signal),
        tokens: over(({ cost }) => cost.tokens),
        seconds: over(({ cost }) => cost.seconds),
      },
    ]
  })
  const missing = seeds.flatMap((seed) => names.flatMap((arm) => (cellOf(arm, seed) ? [] : [{ arm, seed }])))
  const tasks = compareTasks(study, cells)
  return {
    baseline,
    seeds,
    targets: study.targets,
    measures,
    tasks,
    arms,
    missing,
    cautions: cautionsOf(study, { arms, measures, tasks, missing, cells, twin }),
  }
}

/** Ratios of sums over an arm's cells, so that a cell in which a source hardly occurs weighs little. */
function relativeWeights(cells: readonly CellRecord[]): Record<string, number> {
  const sources = [...new Set(cells.flatMap((cell) => Object.keys(cell.uniform_mass_by_source)))].sort()
  const total = (source: string, key: 'mass_by_source' | 'uniform_mass_by_source') =>
    cells.reduce((sum, cell) => sum + (Object.hasOwn(cell[key], source) ? cell[key][source]! : 0), 0)
  return Object.fromEntries(
    sources.map((source) => [
      source,
      total(source, 'mass_by_source') / total(source, 'uniform_mass_by_source'),
    ]),
  )
}

/** Groups, then every source by itself; `rest` is what no other group names. */
function listMeasures({ groups }: StudyConfig, sources: readonly string[]): Measure[] {
  const named = new Set(Object.values(groups).flatMap((group) => (group === 'rest' ? [] : group)))
  const rest = sources.filter((source) => !named.has(source))
  const grouped = Object.entries(groups).map(
    ([name, group]): Measure => ({ name, isGroup: true, sources: group === 'rest' ? rest : group }),
  )
  return [
    ...grouped.filter((group) => group.sources.length > 0),
    ...sources.map((source): Measure => ({ name: source, isGroup: false, sources: [source] })),
  ]
}

function cautionsOf(
  study: StudyConfig,
  found: {
    readonly arms: readonly ComparedArm[]
    readonly measures: readonly Measure[]
    readonly tasks: readonly ComparedTask[]
    readonly missing: Comparison['missing']
    readonly cells: readonly CellRecord[]
    readonly twin: string | undefined
  },
): string[] {
  const { arms, measures, tasks, missing, cells, twin } = found
  const cautions: string[] = []
  const pairs = Math.max(
    0,
    ...arms.flatMap((arm) => arm.measures.map(({ paired }) => paired?.seeds.length ?? 0)),
  )
  if (pairs === 1) cautions.push('One seed: no conclusion can be drawn from these differences.')
  if (pairs > 1 && pairs < 6) {
    cautions.push(
      `${pairs} seeds: the smallest sign-flip p that they can give is ${2 / 2 ** pairs}; the t interval relies on differences that are about normal.`,
    )
  }
  if (twin === undefined || !measures.some(({ floor }) => floor)) {
    cautions.push('No twin: what difference two equal runs have was not measured, so there is no floor.')
  }
  const tested = arms.filter(({ role }) => role === undefined).length * (measures.length + tasks.length)
  if (pairs > 1 && tested > 1) {
    cautions.push(
      `${tested} differences are shown: about one in twenty 95 % intervals excludes 0 by chance alone.${measures[0]?.isGroup ? ` ${measures[0].name} is the primary one.` : ''}`,
    )
  }
  if (missing.length > 0) {
    cautions.push(
      `${missing.length} of ${study.seeds.length * Object.keys(study.arms).length} cells are not finished.`,
    )
  }
  const versions = new Set(cells.map(({ versions: { device: _, ...software } }) => JSON.stringify(software)))
  if (versions.size > 1) cautions.push('Cells were computed by different versions of the software.')
  // Records of older versions do not say.
  const devices = new Set(cells.flatMap(({ versions: { device } }) => device ?? []))
  if (devices.size > 1) {
    cautions.push(
      `Cells were computed on different devices (${[...devices].join(', ')}): differences hold rounding too.`,
    )
  }
  return cautions
}

/** Each source counts the same. */
function meanOf(cell: CellRecord, sources: readonly string[]): number {
  return mean(sources.map((source) => cell.bits_per_byte[source] ?? Number.NaN))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
