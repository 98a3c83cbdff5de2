import type { StepRecord } from '../record/index.js'
import { type ChartSeries, type ChartSpec, StepBuckets, smoothingWindow } from './chart-spec.js'
import {
  type AnchorFigures,
  anchorFigures,
  gateCharts,
  scoreCharts,
  weightChart,
} from './diagnostic-charts.js'
import { visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { sum } from './run-figures.js'

type Pick = (record: StepRecord) => number | undefined

const MAX_SOURCES = 8

/** Builds the specs of all charts over steps. */
export class TrainingCharts {
  readonly #runs: readonly ReportRun[]
  readonly #buckets: StepBuckets
  readonly #smoothPoints: number
  readonly #maxWeight: number
  readonly #sources: SourcePicks

  constructor(runs: readonly ReportRun[]) {
    this.#runs = runs
    const lastStep = runs.reduce((most, run) => Math.max(most, run.steps.at(-1)?.step ?? 0), 0)
    this.#buckets = new StepBuckets(lastStep)
    const points = runs.reduce((most, run) => Math.max(most, this.#buckets.steps(run.steps).length), 0)
    this.#smoothPoints = smoothingWindow(points)
    const top = runs
      .flatMap((run) => run.steps.map((step) => step.weightQuantiles.at(-1) ?? 0))
      .filter(Number.isFinite)
    this.#maxWeight = top.reduce((most, value) => Math.max(most, value), 1)
    this.#sources = mainSources(runs)
  }

  /** Steps per drawn point. */
  get stride(): number {
    return this.#buckets.stride
  }

  get smoothSteps(): number {
    return this.#smoothPoints * this.#buckets.stride
  }

  /** Charts with all runs in each. */
  overview(): ChartSpec[] {
    const smoothPoints = this.#smoothPoints
    return [
      {
        title: 'Training loss',
        about: this.#runs.every(hasEqualWeights)
          ? 'The loss that was minimised.'
          : 'Solid: every weight 1, comparable between runs. Dashed: the weighted loss that was minimised.',
        yLabel: 'nats',
        smoothPoints,
        tables: this.#runs.map((run, i) => ({
          steps: this.#buckets.steps(run.steps),
          series: this.#lossPair(run, i),
        })),
      },
      ...this.#selection(),
      this.#perRun('Gradient norm', 'Before clipping.', 'L2 norm', (step) => step.gradNorm, [0, null]),
      {
        ...this.#perRun(
          'Learning rate',
          'As the schedule set it.',
          'learning rate',
          (step) => step.learningRate,
          [0, null],
        ),
        smoothPoints: 1,
      },
      this.#perRun(
        'Speed',
        'Positions processed per second of step time.',
        'tokens/s',
        (step) => step.tokensPerSecond,
        [0, null],
      ),
    ]
  }

  /** The unweighted loss, and the weighted one where it is another. */
  #lossPair(run: ReportRun, color: number): ChartSeries[] {
    const name = visibleText(run.name)
    const unweighted = this.#withExtremes(run, name, color, (step) => step.lossUnweighted)
    if (hasEqualWeights(run)) return [unweighted]
    const pick: Pick = (step) => step.lossWeighted
    // Alone on the chart the two can have a colour each.
    const other = this.#runs.length === 1 ? color + 1 : color
    return [unweighted, this.#series(run, `${name}, weighted`, other, pick, { dashed: true })]
  }

  /** Nothing to draw where every weight of every run is 1. */
  #selection(): ChartSpec[] {
    if (this.#runs.every(hasEqualWeights)) return []
    return [
      this.#perRun(
        'Effective sample size',
        'At 1 the weights of a step are all equal: the run is uniform in all but name.',
        'ESS / samples',
        (step) => step.essRatio,
        [null, 1],
      ),
      this.#perRun(
        'Effective data ratio',
        'The mean weight. It says how much passes, not how selectively.',
        'EDR',
        (step) => step.weightMean,
        [0, null],
      ),
    ]
  }

  /** Held-out bits per byte over the run, one chart per set; none when no run was evaluated twice. */
  evaluations(names: readonly string[]): ChartSpec[] {
    return this.#evaluationCharts(names, this.#runs, 'bits per byte', (value) => value)
  }

  /** The same as differences to the first run: the curves themselves lie too close together to tell apart. */
  evaluationDifferences(names: readonly string[]): ChartSpec[] {
    const [first, ...others] = this.#runs
    if (first === undefined) return []
    const base = new Map(first.evaluations.map((evaluation) => [evaluation.step, evaluation.sources]))
    const charts = this.#evaluationCharts(names, others, 'bits per byte, difference', (value, name, step) => {
      const sources = base.get(step)
      return (
        value - (sources === undefined ? Number.NaN : (ownValue(sources, name)?.bits_per_byte ?? Number.NaN))
      )
    })
    // Runs that were evaluated at other steps have no curve of differences.
    if (!charts.some((chart) => chart.tables.some((table) => table.series.some(hasCurve)))) return []
    // One scale for all sets, zero included: else a difference that means nothing would look as large as any.
    const values = charts.flatMap((chart) =>
      chart.tables.flatMap((table) => table.series.flatMap((one) => one.values)),
    )
    const [low, high] = values.reduce<[number, number]>(
      ([a, b], v) => [Math.min(a, v ?? 0), Math.max(b, v ?? 0)],
      [0, 0],
    )
    const margin = 0.06 * (high - low || 1)
    return charts.map((chart) => ({ ...chart, yRange: [low - margin, high + margin] as const }))
  }

  /** Loss on the held-out part of the training data over the run; none when no run has two of them. */
  heldOutLoss(): ChartSpec[] {
    const curves = this.#runs.map((run) =>
      run.evaluations.filter(({ validation }) => validation !== undefined).sort((a, b) => a.step - b.step),
    )
    if (curves.every((curve) => curve.length < 2)) return []
    return [
      {
        title: 'eval_loss',
        about: 'Mean nats per trained token of what was held out of the training data.',
        yLabel: 'nats per token',
        smoothPoints: 1,
        tables: curves.map((curve, i) => ({
          steps: curve.map(({ step }) => step),
          series: [
            {
              label: visibleText(this.#runs[i]!.name),
              color: i,
              points: true,
              values: curve.map(({ validation }) => finite(validation!.eval_loss ?? Number.NaN)),
            },
          ],
        })),
      },
    ]
  }

  #evaluationCharts(
    names: readonly string[],
    runs: readonly ReportRun[],
    yLabel: string,
    show: (bitsPerByte: number, name: string, step: number) => number,
  ): ChartSpec[] {
    if (runs.every((run) => run.evaluations.length < 2)) return []
    return names.map((name) => ({
      title: visibleText(name),
      about: '',
      yLabel,
      smoothPoints: 1,
      tables: runs.map((run) => {
        const found = [...run.evaluations].sort((a, b) => a.step - b.step)
        const values = found.map(({ step, sources }) =>
          finite(show(ownValue(sources, name)?.bits_per_byte ?? Number.NaN, name, step)),
        )
        const series = [
          { label: visibleText(run.name), color: this.#runs.indexOf(run), points: true, values },
        ]
        return { steps: found.map((evaluation) => evaluation.step), series }
      }),
    }))
  }

  /** Charts of one run: what its weights did. */
  ofRun(run: ReportRun): ChartSpec[] {
    const sources = this.#sources
    const charts = [this.#mass(run, sources)]
    if (hasEqualWeights(run)) return charts
    return [
      weightChart(run, this.#buckets, this.#smoothPoints, this.#maxWeight),
      ...charts,
      this.#meanWeights(run, sources),
      ...scoreCharts(run, this.#buckets, this.#smoothPoints),
      ...gateCharts(run, this.#buckets),
    ]
  }

  anchorsOf(run: ReportRun): AnchorFigures {
    return anchorFigures(run, this.#buckets)
  }

  #mass(run: ReportRun, sources: SourcePicks): ChartSpec {
    const picks = sources.map(
      ({ members }): Pick =>
        (step) =>
          sum(members.map((m) => ownValue(step.massBySource, m) ?? 0)),
    )
    const series = sources.map(({ label }, i): ChartSeries => {
      const drawn = this.#series(
        run,
        label,
        i,
        (step) => sum(picks.slice(i).map((pick) => pick(step) ?? 0)),
        { width: 1 },
      )
      return { ...drawn, legendValues: this.#buckets.values(run.steps, picks[i]!) }
    })
    return {
      title: 'Weight mass by source',
      about: 'Share of the weighted objective that each source has in a step.',
      yLabel: 'share',
      yRange: [0, 1],
      smoothPoints: this.#smoothPoints,
      stacked: true,
      tables: [{ steps: this.#buckets.steps(run.steps), series }],
    }
  }

  #meanWeights(run: ReportRun, sources: SourcePicks): ChartSpec {
    // The mean over several sources is not the mean of their means, so the rest is left out here.
    const single = sources.filter(({ members }) => members.length === 1)
    const series = single.map(({ label, members }, i) =>
      this.#series(run, label, i, (step) => ownValue(step.weightMeanBySource, members[0]!), { sparse: true }),
    )
    return {
      title: 'Mean weight by source',
      about: 'Mean weight of the samples of a source in a step.',
      yLabel: 'weight',
      yRange: [0, null],
      smoothPoints: this.#smoothPoints,
      tables: [{ steps: this.#buckets.steps(run.steps), series }],
    }
  }

  #perRun(
    title: string,
    about: string,
    yLabel: string,
    pick: Pick,
    yRange: readonly [number | null, number | null],
  ): ChartSpec {
    const tables = this.#runs.map((run, i) => ({
      steps: this.#buckets.steps(run.steps),
      series: [this.#withExtremes(run, visibleText(run.name), i, pick)],
    }))
    return { title, about, yLabel, yRange, smoothPoints: this.#smoothPoints, tables }
  }

  /** A line with the extremes of the steps behind each of its points. */
  #withExtremes(run: ReportRun, label: string, color: number, pick: Pick): ChartSeries {
    const line = this.#series(run, label, color, pick)
    if (this.stride === 1) return { ...line, raw: true }
    return {
      ...line,
      low: this.#buckets.values(run.steps, pick, 'min'),
      high: this.#buckets.values(run.steps, pick, 'max'),
    }
  }

  #series(
    run: ReportRun,
    label: string,
    color: number,
    pick: Pick,
    style: Partial<Omit<ChartSeries, 'values'>> = {},
  ): ChartSeries {
    return { label, color, ...style, values: this.#buckets.values(run.steps, pick) }
  }
}

/** True for methods that do not weight at all: nothing to draw about their weights. */
export function hasEqualWeights(run: ReportRun): boolean {
  return run.steps.every((step) => step.weightQuantiles[0] === 1 && step.weightQuantiles.at(-1) === 1)
}

type SourcePicks = readonly { readonly label: string; readonly members: readonly string[] }[]

/** The sources with most mass, and one entry for all others. One order for all runs, so a source keeps its colour. */
function mainSources(runs: readonly ReportRun[]): SourcePicks {
  const mass = new Map<string, number>()
  for (const step of runs.flatMap((run) => run.steps)) {
    for (const [source, share] of Object.entries(step.massBySource)) {
      mass.set(source, (mass.get(source) ?? 0) + (Number.isFinite(share) ? share : 0))
    }
  }
  const names = [...mass].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([name]) => name)
  if (names.length <= MAX_SOURCES) return names.map((name) => ({ label: visibleText(name), members: [name] }))
  const rest = names.slice(MAX_SOURCES - 1)
  const main = names.slice(0, MAX_SOURCES - 1).map((name) => ({ label: visibleText(name), members: [name] }))
  return [...main, { label: `${rest.length} others`, members: rest }]
}

function ownValue<V>(record: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

function hasCurve({ values }: ChartSeries): boolean {
  return values.filter((value) => value !== null).length > 1
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
