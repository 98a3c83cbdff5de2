import type { CalibrationEvent, RefreshEvent, StepRecord } from '../record/index.js'
import type { ChartSeries, ChartSpec, HeatMap, StepBuckets, Summary } from './chart-spec.js'
import { visibleText } from './html.js'
import type { ReportRun } from './report-run.js'

/** Labels of the quantiles of a step record. */
export const QUANTILE_LABELS = ['min', '5 %', '25 %', 'median', '75 %', '95 %', 'max']
/** Shades between the outer, the next and the inner quantiles. */
const QUANTILE_SHADES = [
  { upper: 6, lower: 0, opacity: 0.08 },
  { upper: 5, lower: 1, opacity: 0.12 },
  { upper: 4, lower: 2, opacity: 0.2 },
]
const WEIGHT_COLOR = 0
const SCORE_COLOR = 3
const GATE_COLOR = 1
const ANCHOR_COLOR = 2

/** Quantile bands over steps. The outermost lines keep their extremes where a point stands for several steps. */
function quantileChart(
  run: ReportRun,
  buckets: StepBuckets,
  color: number,
  quantiles: (step: StepRecord) => readonly number[] | undefined,
): Pick<ChartSpec, 'tables' | 'bands'> {
  const series = QUANTILE_LABELS.map((label, q): ChartSeries => {
    const summary: Summary = q === 0 ? 'min' : q === QUANTILE_LABELS.length - 1 ? 'max' : 'mean'
    const values = buckets.values(run.steps, (step) => quantiles(step)?.[q], summary)
    return { label, color, width: q === 3 ? 2 : 0.5, values }
  })
  return {
    tables: [{ steps: buckets.steps(run.steps), series }],
    bands: QUANTILE_SHADES.map((shade) => ({ ...shade, color })),
  }
}

export function weightChart(
  run: ReportRun,
  buckets: StepBuckets,
  smoothPoints: number,
  most: number,
): ChartSpec {
  return {
    title: 'Weights',
    about: 'Spread of the weights in a step: median, middle half, 5 to 95 %, all.',
    yLabel: 'weight',
    yRange: [0, most],
    smoothPoints,
    ...quantileChart(run, buckets, WEIGHT_COLOR, (step) => step.weightQuantiles),
  }
}

/** Spread of the scores, and where each score lies when the ledger is there; none for runs without scores. */
export function scoreCharts(run: ReportRun, buckets: StepBuckets, smoothPoints: number): ChartSpec[] {
  if (!run.steps.some((step) => step.scoreStd > 0 && Number.isFinite(step.scoreStd))) return []
  const common = { title: 'Scores', yLabel: 'score', smoothPoints }
  const steps = buckets.steps(run.steps)
  if (run.steps.every((step) => step.scoreQuantiles === undefined)) {
    const of = (label: string, width: number, pick: (step: StepRecord) => number): ChartSeries => ({
      ...{ label, width, color: SCORE_COLOR },
      values: buckets.values(run.steps, pick),
    })
    const series = [
      of('mean', 2, (step) => step.scoreMean),
      of('mean + std', 0.5, (step) => step.scoreMean + step.scoreStd),
      of('mean \u2212 std', 0.5, (step) => step.scoreMean - step.scoreStd),
    ]
    const about = 'Mean score of a step, plus and minus one standard deviation.'
    const bands = [{ upper: 1, lower: 2, color: SCORE_COLOR, opacity: 0.15 }]
    return [{ ...common, about, tables: [{ steps, series }], bands }]
  }
  const spread: ChartSpec = {
    ...common,
    about: 'Spread of the scores in a step: median, middle half, 5 to 95 %, all.',
    ...quantileChart(run, buckets, SCORE_COLOR, (step) => step.scoreQuantiles),
  }
  const heat = run.ledger?.density
  return heat === undefined ? [spread] : [spread, densityChart(run, buckets, smoothPoints, heat)]
}

function densityChart(run: ReportRun, buckets: StepBuckets, smoothPoints: number, heat: HeatMap): ChartSpec {
  const median = buckets.values(run.steps, (step) => step.scoreQuantiles?.[3])
  return {
    title: 'Where the scores lie',
    about: 'Stronger: more samples at that score, against the fullest cell of the same steps.',
    yLabel: 'score',
    yRange: [heat.low, heat.high],
    smoothPoints,
    heat,
    tables: [
      {
        steps: buckets.steps(run.steps),
        series: [{ label: 'median', color: SCORE_COLOR, width: 1.5, values: median }],
      },
    ],
  }
}

/** The constants of a calibrated gate, and what it reached against what it aimed at. */
export function gateCharts(run: ReportRun, buckets: StepBuckets): ChartSpec[] {
  const calibrations = run.calibrations ?? []
  if (calibrations.length < 2) return []
  const steps = buckets.steps(calibrations)
  const points = steps.length <= 60
  const of = (label: string, pick: (event: CalibrationEvent) => number, dashed = false): ChartSeries => ({
    label,
    color: GATE_COLOR,
    dashed,
    points: points && !dashed,
    values: buckets.values(calibrations, pick),
  })
  const chart = (title: string, about: string, yLabel: string, series: ChartSeries[]): ChartSpec => ({
    ...{ title, about, yLabel, smoothPoints: 1 },
    tables: [{ steps, series }],
  })
  const charts = [
    chart('Gate: centre mu', 'The score that gets the middle weight.', 'score', [
      of('mu', (event) => event.mu),
    ]),
    chart('Gate: temperature tau', 'Small: the gate is close to a threshold.', 'score', [
      of('tau', (event) => event.tau),
    ]),
  ]
  if (calibrations.every((event) => !Number.isFinite(event.targetEss))) return charts
  const reached = chart('Gate: what a calibration reached', 'Dashed: the target.', 'ESS / samples', [
    of('reached', (event) => event.essRatio),
    of('target', (event) => event.targetEss, true),
  ])
  return [...charts, reached]
}

/** What the refreshes measured about the anchors. */
export interface AnchorFigures {
  /** One chart per figure that changed. */
  readonly charts: readonly ChartSpec[]
  /** Figures that stayed as they were, or were measured once. */
  readonly constants: readonly (readonly [name: string, value: number])[]
}

export function anchorFigures(run: ReportRun, buckets: StepBuckets): AnchorFigures {
  const refreshes = run.refreshes ?? []
  const charts: ChartSpec[] = []
  const constants: [string, number][] = []
  for (const name of new Set(refreshes.flatMap((event) => Object.keys(event.diagnostics)))) {
    const pick = ({ diagnostics }: RefreshEvent): number | undefined =>
      Object.hasOwn(diagnostics, name) ? diagnostics[name] : undefined
    const known = refreshes.filter((event) => Number.isFinite(pick(event)))
    const label = visibleText(name)
    if (new Set(known.map(pick)).size < 2) {
      if (known.length > 0) constants.push([label, pick(known[0]!)!])
      continue
    }
    const steps = buckets.steps(known)
    const values = buckets.values(known, pick)
    const series = { label: 'value', color: ANCHOR_COLOR, points: steps.length <= 60, values }
    charts.push({
      title: spellOut(label),
      about: '',
      yLabel: spellOut(label),
      smoothPoints: 1,
      tables: [{ steps, series: [series] }],
    })
  }
  return { charts, constants }
}

/** `resultantLength` and `resultant_length` as words. */
export function spellOut(name: string): string {
  return name
    .replace(
      /([a-z0-9])([A-Z])(?=[a-z])/g,
      (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
    )
    .replaceAll('_', ' ')
}
