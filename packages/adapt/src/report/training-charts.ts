import type { StepRecord } from '../record/index.js'
import { type ChartSeries, type ChartSpec, StepBuckets, smoothingWindow } from './chart-spec.js'
import { scoreCharts, weightChart } from './diagnostic-charts.js'
import { visibleText } from './html.js'
import type { ReportRun } from './report-run.js'
import { runStyle } from './run-style.js'

type Pick = (record: StepRecord) => number | undefined

/** Builds the specs of the charts that draw every step. */
export class TrainingCharts {
  readonly #runs: readonly ReportRun[]
  readonly #buckets: StepBuckets
  readonly #smoothPoints: number
  readonly #maxWeight: number

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
    const loss = this.#perRun('Training loss', this.#lossAbout(), 'nats', (step) => step.lossUnweighted)
    return [
      { ...loss, tables: this.#runs.length === 1 ? this.#lossPair(this.#runs[0]!) : loss.tables },
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

  #lossAbout(): string {
    if (this.#runs.every(hasEqualWeights)) return 'The loss that was minimised.'
    return this.#runs.length === 1
      ? 'Solid: every weight 1. Dashed: the weighted loss that was minimised.'
      : 'With every weight 1, so that runs can be compared.'
  }

  /** The unweighted loss, and the weighted one where it is another. */
  #lossPair(run: ReportRun): ChartSpec['tables'] {
    const isUniform = hasEqualWeights(run)
    const unweighted = this.#withExtremes(
      run,
      isUniform ? 'loss' : 'unweighted',
      (step) => step.lossUnweighted,
    )
    const weighted: ChartSeries = {
      label: 'weighted',
      color: 'grey',
      dash: [5, 4],
      values: this.#buckets.values(run.steps, (step) => step.lossWeighted),
    }
    const series = isUniform ? [unweighted] : [unweighted, weighted]
    return [{ steps: this.#buckets.steps(run.steps), series }]
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

  /** Charts of one run: what its weights did. None without weights. */
  ofRun(run: ReportRun): ChartSpec[] {
    if (hasEqualWeights(run)) return []
    return [
      weightChart(run, this.#buckets, this.#smoothPoints, this.#maxWeight),
      ...scoreCharts(run, this.#buckets, this.#smoothPoints),
    ]
  }

  #perRun(
    title: string,
    about: string,
    yLabel: string,
    pick: Pick,
    yRange: readonly [number | null, number | null] = [null, null],
  ): ChartSpec {
    const tables = this.#runs.map((run) => ({
      steps: this.#buckets.steps(run.steps),
      series: [this.#withExtremes(run, this.#runs.length === 1 ? yLabel : visibleText(run.name), pick)],
    }))
    return { title, about, yLabel, yRange, smoothPoints: this.#smoothPoints, tables }
  }

  /** A line with the extremes of the steps behind each of its points. */
  #withExtremes(run: ReportRun, label: string, pick: Pick): ChartSeries {
    const style = runStyle(this.#runs.indexOf(run), this.#runs.length)
    const line: ChartSeries = { label, ...style, values: this.#buckets.values(run.steps, pick) }
    if (this.stride === 1) return { ...line, raw: true }
    return {
      ...line,
      low: this.#buckets.values(run.steps, pick, 'min'),
      high: this.#buckets.values(run.steps, pick, 'max'),
    }
  }
}

/** True for methods that do not weight at all: nothing to draw about their weights. */
export function hasEqualWeights(run: ReportRun): boolean {
  return run.steps.every((step) => step.weightQuantiles[0] === 1 && step.weightQuantiles.at(-1) === 1)
}
