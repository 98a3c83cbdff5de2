import type { StepRecord } from '../record/index.js'
import type { ChartSeries, ChartSpec, HeatMap, StepBuckets, Summary } from './chart-spec.js'
import type { ReportRun } from './report-run.js'

/** Labels of the quantiles of a step record. */
export const QUANTILE_LABELS = ['min', '5 %', '25 %', 'median', '75 %', '95 %', 'max']
/** Shades between the outer, the next and the inner quantiles. */
const QUANTILE_SHADES = [
  { upper: 6, lower: 0, opacity: 0.08 },
  { upper: 5, lower: 1, opacity: 0.12 },
  { upper: 4, lower: 2, opacity: 0.2 },
]

/** Quantile bands over steps. The outermost lines keep their extremes where a point stands for several steps. */
function quantileChart(
  run: ReportRun,
  buckets: StepBuckets,
  quantiles: (step: StepRecord) => readonly number[] | undefined,
): Pick<ChartSpec, 'tables' | 'bands' | 'named'> {
  const series = QUANTILE_LABELS.map((label, q): ChartSeries => {
    const summary: Summary = q === 0 ? 'min' : q === QUANTILE_LABELS.length - 1 ? 'max' : 'mean'
    const values = buckets.values(run.steps, (step) => quantiles(step)?.[q], summary)
    return { label, color: 'ink', width: q === 3 ? 2 : 0.5, strong: q === 3, values }
  })
  return {
    named: true,
    tables: [{ steps: buckets.steps(run.steps), series }],
    bands: QUANTILE_SHADES.map((shade) => ({ ...shade, color: 'ink' })),
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
    ...quantileChart(run, buckets, (step) => step.weightQuantiles),
  }
}

/** Spread of the scores, and where each score lies when the ledger is there; none for runs without scores. */
export function scoreCharts(run: ReportRun, buckets: StepBuckets, smoothPoints: number): ChartSpec[] {
  if (!run.steps.some((step) => step.scoreStd > 0 && Number.isFinite(step.scoreStd))) return []
  const common = { title: 'Scores', yLabel: 'score', smoothPoints }
  const steps = buckets.steps(run.steps)
  if (run.steps.every((step) => step.scoreQuantiles === undefined)) {
    const of = (label: string, width: number, pick: (step: StepRecord) => number): ChartSeries => ({
      ...{ label, width, color: 'ink' },
      values: buckets.values(run.steps, pick),
    })
    const series = [
      of('mean', 2, (step) => step.scoreMean),
      of('mean + std', 0.5, (step) => step.scoreMean + step.scoreStd),
      of('mean \u2212 std', 0.5, (step) => step.scoreMean - step.scoreStd),
    ]
    const about = 'Mean score of a step, plus and minus one standard deviation.'
    const bands = [{ upper: 1, lower: 2, color: 'ink', opacity: 0.15 }]
    return [{ ...common, about, tables: [{ steps, series }], bands }]
  }
  const spread: ChartSpec = {
    ...common,
    about: 'Spread of the scores in a step: median, middle half, 5 to 95 %, all.',
    ...quantileChart(run, buckets, (step) => step.scoreQuantiles),
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
        series: [{ label: 'median', color: 'ink', width: 1.5, values: median }],
      },
    ],
  }
}
