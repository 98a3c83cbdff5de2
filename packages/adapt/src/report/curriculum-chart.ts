import type { StepRecord } from '../record/index.js'
import type { ChartSeries, ChartSpec } from './chart-spec.js'
import { formatNumber } from './format.js'
import { visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import type { ColorName, SourceColors } from './source-colors.js'
import { sourceShares } from './source-shares.js'

/** Points of a line: it is smooth, so more would not be seen. */
const MAX_POINTS = 160
/** Part of the run that a value is taken over. */
const SMOOTHED_PART = 0.1
/** Ratio of the largest to the smallest value from which the axis is logarithmic. */
const WIDE_SPREAD = 6
/** Lines without a colour of their own; more of them is a grey area. */
const MAX_GREY = 60
/** Refreshes that are marked one by one. */
const MAX_MARKS = 60

/** Relative weight of each source over the course of a run. */
export interface Curriculum {
  readonly steps: readonly number[]
  /** In order of name; null where a source was not seen within the window. */
  readonly sources: ReadonlyMap<string, readonly (number | null)[]>
  /** Steps that a value is taken over. */
  readonly window: number
}

/** Masses and uniform masses are summed over a window around each point, and then divided: a batch's luck cancels out. */
export function computeCurriculum(steps: readonly StepRecord[]): Curriculum {
  const taken = steps.filter((step) => !step.skipped)
  const window = Math.max(1, Math.round(taken.length * SMOOTHED_PART))
  const points = Math.min(MAX_POINTS, taken.length)
  const at = Array.from({ length: points }, (_, i) =>
    points === 1 ? 0 : Math.round((i * (taken.length - 1)) / (points - 1)),
  )
  const shares = taken.map(sourceShares)
  const names = [...new Set(shares.flatMap((step) => [...step.keys()]))].sort()
  const sources = names.map((name): [string, (number | null)[]] => {
    const [mass, uniform] = [new Float64Array(taken.length + 1), new Float64Array(taken.length + 1)]
    shares.forEach((step, i) => {
      mass[i + 1] = mass[i]! + (step.get(name)?.mass ?? 0)
      uniform[i + 1] = uniform[i]! + (step.get(name)?.uniform ?? 0)
    })
    const values = at.map((i) => {
      const from = Math.max(0, i - Math.floor(window / 2))
      const to = Math.min(taken.length, i + Math.ceil(window / 2))
      const share = uniform[to]! - uniform[from]!
      return share > 0 ? Number(((mass[to]! - mass[from]!) / share).toPrecision(5)) : null
    })
    return [name, values]
  })
  return { steps: at.map((i) => taken[i]!.step), sources: new Map(sources), window }
}

/** The picture of what a method did: which source counts for how much, and when. */
export function curriculumChart(
  run: ReportRun,
  { steps, sources, window }: Curriculum,
  colors: SourceColors,
  range: readonly [number, number],
): ChartSpec {
  const anchored = new Set(run.anchoredSources ?? [])
  const names = [...sources.keys()]
  const logarithmic = range[1] / range[0] > WIDE_SPREAD
  // No weight at all lies infinitely far below on such an axis: the line runs along its lower end.
  const shown = (value: number | null): number | null => (logarithmic && value === 0 ? range[0] : value)
  const grey = names.filter((name) => colors.own(name) === undefined)
  const line = (name: string, color: ColorName): ChartSeries => ({
    label: visibleText(name),
    color,
    strong: anchored.has(name),
    width: anchored.has(name) ? 3 : 2,
    sparse: true,
    points: steps.length <= 12,
    values: sources.get(name)!.map(shown),
  })
  const series = [
    // Under the others, and one name for all.
    ...grey.slice(0, MAX_GREY).map(
      (name, i): ChartSeries => ({
        ...line(name, 'grey'),
        label: grey.length === 1 ? visibleText(name) : `${grey.length} other sources`,
        width: 0.75,
        unnamed: i > 0,
      }),
    ),
    ...names.flatMap((name) => (colors.own(name) === undefined ? [] : [line(name, colors.own(name)!)])),
  ]
  const refreshes = (run.refreshes ?? []).map(({ step }) => step).filter((step) => step > 0)
  const bold = names.some((name) => anchored.has(name)) ? ' Bold: the source of the anchors.' : ''
  const over = window === 1 ? '' : ` Over ${formatNumber(window, 'count').markup} steps each.`
  return {
    title: 'Relative weight by source',
    about: `Share of the weighted loss that a source has, divided by its share without weights.${over}${bold}${describeRefreshes(refreshes.length)}`,
    yLabel: 'relative weight',
    yRange: range,
    smoothPoints: 1,
    wide: true,
    named: true,
    logarithmic,
    reference: { value: 1, label: 'as without weights' },
    marks: refreshes.length > MAX_MARKS ? [] : refreshes,
    tables: [{ steps, series }],
  }
}

function describeRefreshes(count: number): string {
  if (count === 0) return ''
  return count > MAX_MARKS
    ? ` The anchors were measured again ${formatNumber(count, 'count').markup} times.`
    : ' Marks under the lines: the anchors were measured again.'
}

/** Ends of the common axis of several curricula, 1 inside. */
export function curriculumRange(curricula: readonly Curriculum[]): readonly [number, number] {
  const values = curricula.flatMap(({ sources }) =>
    [...sources.values()].flatMap((line) => line.filter((value) => value !== null)),
  )
  const positive = values.filter((value) => value > 0)
  const low = positive.reduce((a, b) => Math.min(a, b), 1)
  const high = positive.reduce((a, b) => Math.max(a, b), 1)
  if (high / low > WIDE_SPREAD) return [low / 1.15, high * 1.15]
  const margin = Math.max(0.06 * (high - low), 0.01)
  return [values.some((value) => value === 0) ? 0 : Math.max(0, low - margin), high + margin]
}
